"""Modules of modules, and modules that take or give tables of values.

Dimensions are counted from 1. The usual 2 is that of the channels of a batch; 1 is meant for networks that take one
image at a time, whose channels come first. Here there is always a batch, so both are axis 1.
"""

from __future__ import annotations

from collections.abc import Mapping

from cnnrt.model_builder import UNKNOWN
from cnnrt_import_torch7.modules import Flow, Module, Rule
from netfile_spec import Value


def _place(module: Module, number: int) -> str:
    return f"{module.place}.{number}" if module.place else str(number)


def sequential(module: Module, flow: Flow) -> Flow:
    """nn.Sequential: one after the other."""
    for number, inner in enumerate(module.modules(), start=1):
        flow = module.convert(inner, _place(module, number), flow)
    return flow


def concat_table(module: Module, flow: Flow) -> Flow:
    """nn.ConcatTable: each is handed the same, a table of what they give."""
    return tuple(module.convert(inner, _place(module, n), flow) for n, inner in enumerate(module.modules(), start=1))


def parallel_table(module: Module, flow: Flow) -> Flow:
    """nn.ParallelTable: each is handed its own value of a table."""
    inner = module.modules()
    if not isinstance(flow, tuple) or len(flow) != len(inner):
        return module.problem(f"it has {len(inner)} modules for another number of values") if flow != UNKNOWN else flow
    return tuple(
        module.convert(one, _place(module, number), value)
        for number, (one, value) in enumerate(zip(inner, flow, strict=True), start=1)
    )


def concat(module: Module, flow: Flow) -> Flow:
    """nn.Concat: what its modules give, joined along a dimension."""
    values = module.several(concat_table(module, flow))
    return _joined(module, values, module.integer("dimension", least=1) - 1)


def depth_concat(module: Module, flow: Flow) -> Flow:
    """nn.DepthConcat: as Concat, as long as nothing is of another size; the network says so where it is."""
    if len(module.modules()) > 1:
        module.model.note(f"{module.title}: images of different sizes, which it pads with zeros, are refused")
    return concat(module, flow)


def join_table(module: Module, flow: Flow) -> Flow:
    """nn.JoinTable: the values of a table, joined; with nInputDims the batch is not counted."""
    dimension = module.integer("dimension", least=1)
    return _joined(module, module.several(flow), dimension if module.integer("nInputDims", 0) else dimension - 1)


def _joined(module: Module, values: list[str], axis: int) -> Flow:
    if axis > 3:
        return module.problem(f"it joins along dimension {axis + 1}", expected="one of an image")
    if axis == 0:
        module.model.note(f"{module.title}: it joins along dimension 1, which is read as that of the channels")
    keys: dict[str, Value] = {"axis": axis} if axis > 1 else {}
    return module.add("Concat", values, keys)


def combine(operation: str, *coefficients: float) -> Rule:
    """Return a rule that combines the values of a table one by one."""

    def rule(module: Module, flow: Flow) -> Flow:
        values = module.several(flow)
        keys: dict[str, Value] = {} if operation == "sum" else {"operation": operation}
        if coefficients:
            if len(values) != len(coefficients):
                return module.problem(f"it is handed {len(values)} values", expected=str(len(coefficients)))
            keys["coeff"] = coefficients
        return module.add("Eltwise", values, keys)

    return rule


def select_table(module: Module, flow: Flow) -> Flow:
    """nn.SelectTable: one value of a table, counted from 1, or from the end with a minus."""
    value = module.field("index")
    index = int(value) if type(value) is float and value.is_integer() and abs(value) < 1e6 else 0
    if not isinstance(flow, tuple) or not 1 <= abs(index) <= len(flow):
        return flow if flow == UNKNOWN else module.problem("it selects a value that the table does not have")
    selected: Flow = flow[index - 1 if index > 0 else index]
    return selected


def narrow_table(module: Module, flow: Flow) -> Flow:
    """nn.NarrowTable: so many values of a table, from a place on."""
    start, length = module.integer("offset", least=1) - 1, module.integer("length", 1, least=1)
    if not isinstance(flow, tuple) or start + length > len(flow):
        return flow if flow == UNKNOWN else module.problem("it takes values that the table does not have")
    return flow[start : start + length]


def flatten_table(module: Module, flow: Flow) -> Flow:
    """nn.FlattenTable: tables in tables become one."""
    if not isinstance(flow, tuple):
        return flow
    found: list[str] = []
    waiting = list(reversed(flow))
    while waiting:
        value = waiting.pop()
        if isinstance(value, tuple):
            waiting += reversed(value)
        else:
            found.append(value)
    return tuple(found)


RULES: Mapping[str, Rule] = {
    # A pooling by norms is a Sequential that holds its steps.
    **dict.fromkeys(("Sequential", "DataParallelTable", "SpatialLPPooling"), sequential),
    "Concat": concat,
    "DepthConcat": depth_concat,
    "ConcatTable": concat_table,
    "ParallelTable": parallel_table,
    "JoinTable": join_table,
    "CAddTable": combine("sum"),
    "CSubTable": combine("sum", 1.0, -1.0),
    "CMulTable": combine("prod"),
    "CDivTable": combine("div"),
    "CMaxTable": combine("max"),
    "CMinTable": combine("min"),
    "SelectTable": select_table,
    "NarrowTable": narrow_table,
    "FlattenTable": flatten_table,
}
