"""Arithmetic of two or more values: Add, Mul, Max, ... A constant becomes part of a layer where it can be one."""

from __future__ import annotations

import math

from cnnrt.findings import Findings
from cnnrt_import_onnx.activation_rules import per_channel
from cnnrt_import_onnx.nodes import OnnxNode, shortest
from cnnrt_import_onnx.normalisation_rules import item_of
from cnnrt_import_onnx.operands import axis_of, known_sizes, values_of
from cnnrt_import_onnx.tensors import FLOATS, Sizes, Tensor
from cnnrt_import_onnx.values import Inputs, Made, Operand, weight_of
from netfile_spec import Value as KeyValue

OPERATIONS = {
    "Add": "sum",
    "Div": "div",
    "Max": "max",
    "Mean": "mean",
    "Min": "min",
    "Mul": "prod",
    "Pow": "pow",
    "Sub": "sub",
    "Sum": "sum",
}
"""ONNX's operators, and what an Eltwise calls them."""


def arithmetic(node: OnnxNode, inputs: Inputs, findings: Findings) -> Made | None:
    """Any of `OPERATIONS`; shapes are broadcast as in NumPy."""
    values = values_of(node, inputs, findings)
    if not values:
        return None
    if len(values) == 2:
        first, second = values
        if isinstance(second, Tensor) and (made := _with_constant(node.op, first, second)):
            return made
        if isinstance(first, Tensor) and (made := _constant_first(node.op, first, second)):
            return made
    return Made("Eltwise", values, _operation(node.op), item=_common(values))


def pairwise(node: OnnxNode, inputs: Inputs, findings: Findings) -> Made | None:
    """Add, Sub, Mul, Div and Pow; before operator set 7 the second value was aligned with the first at `axis`."""
    first, second = inputs
    if node.opset < 7 and "axis" in node.attributes and first is not None and second is not None:
        axis = axis_of(node, node.integer("axis", 0, findings), first, findings, batch=True)
        sizes = known_sizes(node, second, findings) if axis is not None else None
        if axis is None or sizes is None or first.shape is None:
            return None
        shape = (*sizes, *(1,) * (len(first.shape) - axis - len(sizes)))
        if isinstance(second, Tensor):
            inputs = (first, second.reshaped(shape))
        elif second.free:
            findings.problem(f"{node.title}: axis {axis} with a second value that is a batch itself")
            return None
        else:
            return Made("Eltwise", (first, Made("Reshape", (second,), {"shape": shape})), _operation(node.op))
    return arithmetic(node, inputs, findings)


def _operation(op: str) -> dict[str, KeyValue]:
    return {} if OPERATIONS[op] == "sum" else {"operation": OPERATIONS[op]}


def _with_constant(op: str, value: Operand, tensor: Tensor) -> Made | None:
    """Return a layer for a value and a constant behind the operator, if it is one number or one for each channel."""
    number = _number(tensor, value)
    if number is not None and (keys := _line(op, number)) is not None:
        return Made("Clip" if op in ("Max", "Min") else "Power", (value,), keys, item=item_of(value))
    if value.shape is None or tensor.kind not in FLOATS or tensor.count < 2:
        return None
    channels = per_channel(tensor, value.shape)
    if channels is None or op not in ("Add", "Sub", "Mul"):
        return None
    weight = weight_of(channels, factor=-1.0 if op == "Sub" else 1.0)
    return Made("Scale", (value,), {}, {"scale" if op == "Mul" else "bias": weight}, item_of(value))


def _constant_first(op: str, tensor: Tensor, value: Operand) -> Made | None:
    """Return a layer for a constant before the operator and a value."""
    if op in ("Add", "Mul", "Max", "Min"):
        return _with_constant(op, value, tensor)
    number = _number(tensor, value)
    if number is None or op not in ("Sub", "Div") or (op == "Div" and not number):
        return None
    keys: dict[str, KeyValue] = {"scale": -1, "shift": number}
    if op == "Div":
        keys = {"power": -1} if number == 1 else {"power": -1, "scale": 1 / number}
    return Made("Power", (value,), keys, item=item_of(value))


def _number(tensor: Tensor, value: Operand) -> float | None:
    """Return the only value of a constant that adds no dimensions to `value`, if a NetFile can hold it."""
    if tensor.count != 1 or tensor.batch is not None or (value.shape is None and tensor.rank):
        return None
    if value.shape is not None and (tensor.rank > len(value.shape) or isinstance(value, Tensor)):
        return None
    number = shortest(tensor.array().reshape(-1)[0])
    return number if math.isfinite(number) else None


def _line(op: str, number: float) -> dict[str, KeyValue] | None:
    """Return the keys of the Power, or of the Clip, that does what the operator does with a number behind it."""
    match op:
        case "Add" | "Sum":
            return {"shift": number}
        case "Sub":
            return {"shift": -number}
        case "Mul":
            return {"scale": number}
        case "Div":
            return {"scale": 1 / number} if number and math.isfinite(1 / number) else None
        case "Pow":
            return {"power": number}
        case "Max":
            return {"min": number}
        case "Min":
            return {"max": number}
    return None


def _common(values: tuple[Operand, ...]) -> Sizes | None:
    """Return what is known of the shape of an item, from values with the same number of dimensions."""
    known = [v.shape for v in values if v.shape is not None]
    flows = [v for v in values if not isinstance(v, Tensor)]
    if not known or any(len(shape) != len(known[0]) for shape in known if shape) or any(f.shape is None for f in flows):
        return None
    longest = max(known, key=len)
    item = []
    for place in range(1, len(longest)):
        sizes = {s[place - len(longest)] for s in known if len(s) >= len(longest) - place} - {1}
        item.append(1 if not sizes else sizes.pop() if len(sizes) == 1 else None)
    return tuple(item)
