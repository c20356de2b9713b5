"""Operators that join values: Add, Sum, Concat. A constant that is added becomes the bias of the layer before."""

from __future__ import annotations

from cnnrt_import_onnx.findings import Findings
from cnnrt_import_onnx.layer_rules import Inputs, item_axis, no_shape
from cnnrt_import_onnx.nodes import OnnxNode
from cnnrt_import_onnx.tensors import Tensor, shape_words
from cnnrt_import_onnx.values import Flow, Item, Made
from netfile_spec.problems import quoted


def total(node: OnnxNode, inputs: Inputs, findings: Findings) -> Made | None:
    """Add and Sum of computed values of one shape."""
    values = _all_computed(node, inputs, findings)
    if not values:
        return None
    known = [v.item for v in values if v.item is not None and None not in v.item]
    if any(item != known[0] for item in known):
        shown = " and ".join(shape_words((None, *item)) for item in dict.fromkeys(known))
        expected = "equal shapes: no layer of cnnrt repeats values"
        findings.problem(f"{node.title}: it adds values of the shapes {shown}", expected=expected)
        return None
    return Made("Eltwise", values, item=known[0] if known else values[0].item)


def concatenation(node: OnnxNode, inputs: Inputs, findings: Findings) -> Made | None:
    """Concat of computed values."""
    values = _all_computed(node, inputs, findings)
    if not values:
        return None
    axis = node.integer("axis", None, findings)
    if "axis" not in node.attributes:
        return None
    items = [v.item for v in values if v.item is not None]
    if not items:
        if axis > 0:
            return Made("Concat", values, {} if axis == 1 else {"axis": axis})
        no_shape(node, next((v for v in values if v.failed), values[0]), findings)
        return None
    resolved = item_axis(node, axis, items[0], findings)
    if resolved is None:
        return None
    return Made("Concat", values, {} if resolved == 1 else {"axis": resolved}, item=_joined(values, resolved))


def _all_computed(node: OnnxNode, inputs: Inputs, findings: Findings) -> tuple[Flow, ...]:
    """Return the inputs where all of them are computed values; else nothing, and a problem."""
    constants = [x for x in inputs if isinstance(x, Tensor)]
    if constants and any(isinstance(x, Flow) and x.failed for x in inputs):
        return ()
    if constants:
        findings.problem(
            f"{node.title}: its input {quoted(constants[0].name)} is a constant",
            expected="values that are computed"
            + (", or a constant for each channel behind a Conv, Gemm or MatMul" if node.op == "Add" else ""),
        )
        return ()
    values = tuple(x for x in inputs if isinstance(x, Flow))
    if not values or len(values) != len(inputs):
        findings.problem(f"{node.title}: an input is left out")
        return ()
    return values


def _joined(values: tuple[Flow, ...], axis: int) -> Item | None:
    items = [v.item for v in values]
    first = items[0]
    if first is None or any(item is None or len(item) != len(first) for item in items):
        return None
    lengths = [item[axis - 1] for item in items if item is not None]
    length = None if None in lengths else sum(n for n in lengths if n is not None)
    return (*first[: axis - 1], length, *first[axis:])
