"""Operators that only arrange values: Flatten, Reshape where it flattens, Identity. On constants they are done here."""

from __future__ import annotations

import math

from cnnrt_import_onnx.findings import Findings
from cnnrt_import_onnx.layer_rules import Inputs, computed, no_shape
from cnnrt_import_onnx.nodes import OnnxNode
from cnnrt_import_onnx.tensors import INTEGERS, Tensor, shape_words
from cnnrt_import_onnx.values import Flow, Item, Made, Same

_MOST_DIMENSIONS = 32


def flatten(node: OnnxNode, inputs: Inputs, findings: Findings) -> Made | None:
    """Flatten to (images, features)."""
    value = computed(node, inputs[0], findings)
    if value is None:
        return None
    axis = node.integer("axis", 1, findings)
    if axis < 0:
        if value.item is None:
            no_shape(node, value, findings)
            return None
        axis += 1 + len(value.item)
    if axis != 1:
        stated = node.integer("axis", 1, findings)
        findings.problem(f"{node.title}: axis {stated}", expected="axis 1: one row for each image")
        return None
    return Made("Flatten", (value,), item=_flat(value.item))


def identity(node: OnnxNode, inputs: Inputs, findings: Findings) -> Same | None:
    """Identity, of whatever."""
    if inputs[0] is None:
        findings.problem(f"{node.title}: its input is left out")
        return None
    return Same(inputs[0])


def reshape(node: OnnxNode, inputs: Inputs, findings: Findings, batch: int | None) -> Made | Same | None:
    """Reshape to (images, features), or to the shape that is there already; of constants, to any shape.

    `batch` is the one that the model's inputs state, None where they leave it open.
    """
    value, target = inputs[0], inputs[1]
    if isinstance(target, Flow) and target.failed:
        return None
    if not isinstance(target, Tensor) or target.kind not in INTEGERS or len(target.shape) != 1:
        findings.problem(
            f"{node.title}: the shape that it gives is computed while the model runs",
            hint="export the model with fixed sizes, or simplify it (onnxsim), so that the shape is a constant",
        )
        return None
    if target.count > _MOST_DIMENSIONS:
        findings.problem(f"{node.title}: a shape of {target.count:,} dimensions", expected="two")
        return None
    shape = tuple(int(n) for n in target.array())
    keeps_zero = bool(node.integer("allowzero", 0, findings))
    if isinstance(value, Tensor):
        return _reshaped(node, value, shape, keeps_zero, findings)
    if value is None:
        findings.problem(f"{node.title}: its input is left out")
        return None
    return _flattened(node, value, shape, keeps_zero, batch, findings)


def _reshaped(
    node: OnnxNode, tensor: Tensor, shape: tuple[int, ...], keeps_zero: bool, findings: Findings
) -> Same | None:
    rank = len(tensor.shape)
    full = [tensor.shape[i] if n == 0 and not keeps_zero and i < rank else n for i, n in enumerate(shape)]
    others = math.prod(n for n in full if n != -1)
    if full.count(-1) == 1 and others > 0:
        full[full.index(-1)] = tensor.count // others
    if any(n < 0 for n in full) or math.prod(full) != tensor.count:
        found = shape_words(tensor.shape)
        findings.problem(f"{node.title}: a constant of shape {found} cannot have the shape {list(shape)}")
        return None
    return Same(tensor.reshaped(tuple(full)))


def _flattened(
    node: OnnxNode, value: Flow, shape: tuple[int, ...], keeps_zero: bool, batch: int | None, findings: Findings
) -> Made | Same | None:
    first, rest = shape[:1], shape[1:]
    batch_kept = first == (batch,) or (first == (0,) and not keeps_zero)
    if batch_kept and rest == (-1,):
        return Made("Flatten", (value,), item=_flat(value.item))
    sizes = value.sizes
    if sizes is None:
        no_shape(node, value, findings)
        return None
    if not keeps_zero:
        rest = tuple(sizes[i] if n == 0 and i < len(sizes) else n for i, n in enumerate(rest))
    if batch_kept and rest.count(-1) == 1:
        others = math.prod(n for n in rest if n != -1)
        rest = tuple(math.prod(sizes) // max(others, 1) if n == -1 else n for n in rest)
    # An inferred batch stays what it is where the rest makes up one image.
    if (batch_kept or first == (-1,)) and math.prod(rest) == math.prod(sizes) and min(rest, default=0) > 0:
        if rest == sizes:
            return Same(value)
        if len(rest) == 1:
            return Made("Flatten", (value,), item=rest)
    findings.problem(
        f"{node.title}: from {shape_words((batch, *sizes))} to {list(shape)}",
        expected=f"(images, {math.prod(sizes)}), with 0 or -1 for the images",
    )
    return None


def _flat(item: Item | None) -> Item | None:
    if item is None:
        return (None,)
    known = [n for n in item if n is not None]
    return (math.prod(known),) if len(known) == len(item) else (None,)
