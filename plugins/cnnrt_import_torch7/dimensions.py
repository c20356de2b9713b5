"""Modules that work along one dimension: parts of it, sums over it, values put beside it.

Dimensions are counted from 1, or from the end with a minus. With nInputDims the batch is not counted; without, the
first dimension is read as that of the channels, as in containers.py.

Source: torch/nn (Narrow.lua, Select.lua, Padding.lua, Sum.lua, Mean.lua, Max.lua, Normalize.lua).
"""

from __future__ import annotations

from collections.abc import Mapping

from cnnrt.model_builder import UNKNOWN
from cnnrt_import_torch7.modules import Flow, Module, Rule
from netfile_spec import Value

_TO_THE_END = 2**63 - 1


def axis_of(module: Module, name: str = "dimension", counted: str = "nInputDims") -> int | None:
    """Return the axis that a field names; None after a problem."""
    dimension = module.integer(name, 1, least=-3)
    if dimension < 0:
        return dimension
    axis = dimension if module.field(counted) is not None else dimension - 1
    if axis == 0 and dimension:
        module.model.note(f"{module.title}: it works along dimension 1, which is read as that of the channels")
        return 1
    if not 1 <= axis <= 3:
        module.problem(f"it works along dimension {dimension}", expected="one of an image")
        return None
    return axis


def narrow(module: Module, flow: Flow) -> Flow:
    """nn.Narrow: so many values from a place on; a length of -1 goes to the end, -2 to the one before."""
    bottom, axis = module.single(flow), axis_of(module)
    start, length = module.integer("index", least=1) - 1, module.integer("length", 1, least=-(2**31))
    if axis is None or length == 0:
        return UNKNOWN if axis is None else module.problem("a part of no length")
    end = start + length if length > 0 else (length + 1 or _TO_THE_END)
    return module.add("StridedSlice", [bottom], {"axes": (axis,), "starts": (start,), "ends": (end,)})


def select(module: Module, flow: Flow) -> Flow:
    """nn.Select: one place along a dimension, which goes; from the end with a minus."""
    bottom, axis = module.single(flow), axis_of(module)
    index = module.integer("index", least=-(2**31))
    if axis is None or index == 0:
        return UNKNOWN if axis is None else module.problem("it selects place 0", expected="places from 1")
    start = index - 1 if index > 0 else index
    keys: dict[str, Value] = {"axes": (axis,), "starts": (start,), "ends": (start + 1 or _TO_THE_END,)}
    part = module.add("StridedSlice", [bottom], keys, suffix="_part")
    return module.add("Reduction", [part], {"operation": "sum", "axes": (axis,)})


def pad_along(module: Module, flow: Flow) -> Flow:
    """nn.Padding: values before the first place where `pad` is negative, behind the last where it is not."""
    bottom, axis = module.single(flow), axis_of(module, "dim", "nInputDim")
    pad = module.integer("pad", least=-(2**31))
    if axis is None:
        return UNKNOWN
    if module.integer("index", 1, least=-(2**31)) != 1:
        return module.problem("it pads between values", expected="index 1")
    keys: dict[str, Value] = {"axes": (axis,), "before": (max(-pad, 0),), "after": (max(pad, 0),)}
    return module.add("Pad", [bottom], {**keys, "value": module.number("value", 0.0)})


def reduced(operation: str) -> Rule:
    """Return a rule for a sum, mean, maximum or minimum along a dimension."""

    def rule(module: Module, flow: Flow) -> Flow:
        bottom, axis = module.single(flow), axis_of(module)
        if axis is None:
            return UNKNOWN
        keys: dict[str, Value] = {"operation": "mean" if module.flag("sizeAverage") else operation, "axes": (axis,)}
        if not module.flag("squeeze", True):
            keys["keepdims"] = True
        return module.add("Reduction", [bottom], keys)

    return rule


def normalize(module: Module, flow: Flow) -> Flow:
    """nn.Normalize: vectors of features, divided by their norm."""
    bottom = module.single(flow)
    norm = module.number("p")
    if norm < 1:
        return module.problem(f"a norm of p {norm:g}", expected="p from 1")
    return module.add("Normalize", [bottom], {"p": norm, "eps": module.number("eps", 1e-10)})


RULES: Mapping[str, Rule] = {
    "Narrow": narrow,
    "Select": select,
    "Padding": pad_along,
    "Sum": reduced("sum"),
    "Mean": reduced("mean"),
    "Max": reduced("max"),
    "Min": reduced("min"),
    "Normalize": normalize,
}
