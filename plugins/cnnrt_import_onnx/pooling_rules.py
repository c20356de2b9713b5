"""Pooling of images, and of rows: windows by Caffe's rule, floor unless ceil_mode says otherwise."""

from __future__ import annotations

from cnnrt.findings import Findings
from cnnrt_import_onnx.nodes import OnnxNode
from cnnrt_import_onnx.operands import known_shape, value_of
from cnnrt_import_onnx.tensors import Sizes, shape_words
from cnnrt_import_onnx.values import Inputs, Made, Operand
from cnnrt_import_onnx.window_pads import plan_windows, shortest_pair, window_keys
from cnnrt_import_onnx.windows import IMAGE, ROW, as_image, from_image
from netfile_spec import Value as KeyValue

_KINDS = {"MaxPool": "max", "AveragePool": "mean", "LpPool": "lp"}
_GLOBAL = {"GlobalMaxPool": "max", "GlobalAveragePool": "mean", "GlobalLpPool": "lp"}


def pooling(node: OnnxNode, inputs: Inputs, findings: Findings) -> Made | None:
    """MaxPool, AveragePool and LpPool."""
    value = value_of(node, inputs[0], findings)
    if value is None:
        return None
    if "kernel_shape" not in node.attributes:
        findings.problem(f"{node.title}: it has no kernel_shape")
        return None
    kernel = node.integers("kernel_shape", (), findings, least=1, count=None)
    if len(kernel) not in (ROW, IMAGE):
        findings.problem(
            f"{node.title}: {len(kernel)} kernel_shape", expected="2, windows of images, or 1, windows of rows"
        )
        return None
    plan = plan_windows(node, kernel, value, findings)
    keys: dict[str, KeyValue] = {"pool": _KINDS[node.op]}
    keys["kernel_size"] = shortest_pair((1,) * (IMAGE - len(kernel)) + kernel)
    keys |= window_keys(plan)
    if node.op == "LpPool":
        keys |= _norm(node, findings)
    # By the specification auto_pad settles the output's size by itself, so that there is nothing to round.
    if plan.automatic or not node.integer("ceil_mode", 0, findings):
        keys["ceil_mode"] = False
    if node.op == "AveragePool" and any(plan.pad) and not node.integer("count_include_pad", 0, findings):
        keys["count_include_pad"] = False
    item = _channels_only(value.shape)
    if node.outputs[1:2] not in ((), ("",)):
        return _with_places(node, value, keys, len(kernel), findings)
    return from_image(Made("Pooling", (as_image(value, len(kernel)),), keys, item=item), len(kernel))


def _with_places(
    node: OnnxNode, value: Operand, keys: dict[str, KeyValue], dimensions: int, findings: Findings
) -> Made | None:
    if dimensions != IMAGE or node.integer("storage_order", 0, findings):
        findings.problem(f"{node.title}: the places of its maxima are used", expected="those of images, row by row")
        return None
    return Made("Pooling", (value,), {**keys, "mask": True}, outputs=2)


def global_pooling(node: OnnxNode, inputs: Inputs, findings: Findings) -> Made | None:
    """GlobalAveragePool, GlobalMaxPool and GlobalLpPool."""
    value = value_of(node, inputs[0], findings)
    if value is None:
        return None
    keys: dict[str, KeyValue] = {"pool": _GLOBAL[node.op], "global_pooling": True}
    if node.op == "GlobalLpPool":
        keys |= _norm(node, findings)
    if value.shape is None or len(value.shape) == IMAGE + 2:
        item = (value.shape[1], 1, 1) if value.shape else None
        return Made("Pooling", (value,), keys, item=item)
    return _global_of_other_ranks(node, value, keys, findings)


def _global_of_other_ranks(
    node: OnnxNode, value: Operand, keys: dict[str, KeyValue], findings: Findings
) -> Made | None:
    """Take everything behind the channels as one row, whatever its dimensions."""
    shape = known_shape(node, value, findings)
    if shape is None or len(shape) < 3:
        findings.problem(
            f"{node.title}: an input of shape {shape_words(value.shape or ())}", expected="(images, channels, ...)"
        )
        return None
    row = Made("Reshape", (value,), {"shape": (0, 0, 1, -1)})
    pooled = Made("Pooling", (row,), keys)
    return Made("Reshape", (pooled,), {"shape": (0, 0, *(1,) * (len(shape) - 2))})


def _norm(node: OnnxNode, findings: Findings) -> dict[str, KeyValue]:
    order = node.integer("p", 2, findings)
    if order < 1:
        findings.problem(f"{node.title}: p {order}", expected="at least 1")
        return {}
    return {} if order == 2 else {"p": order}


def _channels_only(shape: Sizes | None) -> Sizes | None:
    return (shape[1], None, None) if shape is not None and len(shape) == IMAGE + 2 else None
