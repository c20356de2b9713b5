"""Reductions: ReduceSum, ReduceMean and others along axes, ArgMax, ArgMin, CumSum."""

from __future__ import annotations

from cnnrt.findings import Findings
from cnnrt_import_onnx.nodes import OnnxNode
from cnnrt_import_onnx.operands import axes_of, axis_of, integers_in, stated_axes, value_of
from cnnrt_import_onnx.values import Inputs, Made, Operand, Outcome, Same
from netfile_spec import Value as KeyValue

OPERATIONS = {
    "ReduceL1": "l1",
    "ReduceL2": "l2",
    "ReduceLogSum": "log_sum",
    "ReduceLogSumExp": "log_sum_exp",
    "ReduceMax": "max",
    "ReduceMean": "mean",
    "ReduceMin": "min",
    "ReduceProd": "prod",
    "ReduceSum": "sum",
    "ReduceSumSquare": "sum_square",
}
"""ONNX's operators, and what a Reduction calls them."""


def reduction(node: OnnxNode, inputs: Inputs, findings: Findings) -> Outcome:
    """Any of `OPERATIONS`; a mean or maximum over rows and columns is a global pooling."""
    value = value_of(node, inputs[0], findings)
    stated = None if value is None else stated_axes(node, inputs, findings)
    kept = bool(node.integer("keepdims", 1, findings))
    if value is None or stated is None:
        return None
    if not stated and node.integer("noop_with_empty_axes", 0, findings):
        return Same(value)
    axes = axes_of(node, stated, value, findings)
    if axes is None or value.shape is None:
        return None
    operation = OPERATIONS[node.op]
    item = tuple(1 if i in axes else n for i, n in enumerate(value.shape) if kept or i not in axes)
    behind = item[1:] if 0 not in axes else None
    if operation in ("mean", "max") and axes == (2, 3) and len(value.shape) == 4:
        return _pooling(value, operation, kept)
    keys: dict[str, KeyValue] = {"operation": operation, "axes": axes, "keepdims": kept}
    return Made("Reduction", (value,), keys, item=behind)


def _pooling(value: Operand, operation: str, kept: bool) -> Made:
    channels = value.shape[1] if value.shape is not None else None
    layer = Made("Pooling", (value,), {"pool": operation, "global_pooling": True}, item=(channels, 1, 1))
    return layer if kept else Made("Flatten", (layer,), item=(channels,))


def place_of_extreme(node: OnnxNode, inputs: Inputs, findings: Findings) -> Made | None:
    """ArgMax and ArgMin: the place of the first such value, or of the last, along one axis."""
    value = value_of(node, inputs[0], findings)
    axis = None if value is None else axis_of(node, node.integer("axis", 0, findings), value, findings)
    if value is None or axis is None:
        return None
    keys: dict[str, KeyValue] = {"axis": axis, "keepdims": bool(node.integer("keepdims", 1, findings))}
    if node.integer("select_last_index", 0, findings):
        keys["select_last"] = True
    if node.op == "ArgMin":
        keys["smallest"] = True
    return Made("ArgMax", (value,), keys)


def running_sum(node: OnnxNode, inputs: Inputs, findings: Findings) -> Made | None:
    """CumSum along one axis, forwards or backwards, with or without the value itself."""
    value = value_of(node, inputs[0], findings)
    stated = None if value is None else integers_in(node, inputs[1], "the axis", findings)
    if value is None or stated is None:
        return None
    axis = axis_of(node, stated[0], value, findings) if len(stated) == 1 else None
    if axis is None:
        return None
    keys: dict[str, KeyValue] = {"axis": axis}
    for key in ("exclusive", "reverse"):
        if node.integer(key, 0, findings):
            keys[key] = True
    return Made("CumulativeSum", (value,), keys)
