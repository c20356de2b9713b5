"""Operators that give values other dimensions: Reshape, Flatten, Squeeze, Unsqueeze; and Shape and Size, constants.

In a network that takes any number of images the first dimension is theirs. A Reshape that states it as 0, as -1 where
the others make up one image, as what a Shape gave, or as the number that the model states for its inputs keeps it.
"""

from __future__ import annotations

import math

import numpy as np

from cnnrt.findings import Findings
from cnnrt_import_onnx.fold_moves import NotFoldable, reshaped_sizes
from cnnrt_import_onnx.nodes import OnnxNode
from cnnrt_import_onnx.operands import axis_of, known_shape, known_sizes, stated_axes, value_of
from cnnrt_import_onnx.tensors import INTEGERS, MOST_DIMENSIONS, Sizes, Tensor, shape_words, tensor_of
from cnnrt_import_onnx.values import Flow, Inputs, Made, Operand, Outcome, Same

_BATCH = -2


def identity(node: OnnxNode, inputs: Inputs, findings: Findings) -> Same | None:
    """Identity, and Cast to another floating-point type: everything is computed in float32."""
    value = value_of(node, inputs[0], findings)
    return None if value is None else Same(value)


def cast(node: OnnxNode, inputs: Inputs, findings: Findings) -> Same | None:
    """Cast of a computed value: between floating-point types nothing changes."""
    if node.integer("to", None, findings) not in (1, 10, 11, 16):
        hint = "values that flow through a network are float32 here"
        findings.problem(f"{node.title}: it makes integers of computed values", expected="floats", hint=hint)
        return None
    return identity(node, inputs, findings)


def shape(node: OnnxNode, inputs: Inputs, findings: Findings) -> Same | None:
    """Shape, a constant in which the number of images may be open; since operator set 15 of some dimensions only."""
    value = value_of(node, inputs[0], findings)
    if value is None or known_shape(node, value, findings) is None:
        return None
    sizes = known_sizes(node, value, findings)
    if sizes is None:
        return None
    whole = np.array((0, *sizes) if value.free else sizes, np.int64)
    marks = np.zeros(whole.shape, bool)
    marks[: value.free] = True
    start, end = node.integer("start", 0, findings), node.integer("end", len(whole), findings)
    return Same(tensor_of(whole[start:end], node.outputs[0], marks[start:end]))


def size(node: OnnxNode, inputs: Inputs, findings: Findings) -> Same | None:
    """Size, a constant where the number of images is."""
    value = value_of(node, inputs[0], findings)
    sizes = None if value is None else known_sizes(node, value, findings)
    if value is None or sizes is None:
        return None
    if value.free:
        findings.problem(f"{node.title}: its result depends on the number of images")
        return None
    return Same(tensor_of(np.array(math.prod(sizes), np.int64), node.outputs[0]))


def reshape(node: OnnxNode, inputs: Inputs, findings: Findings) -> Outcome:
    """Reshape of a computed value to a shape that is constant, but for the number of images."""
    value, target = value_of(node, inputs[0], findings), inputs[1]
    if value is None or (isinstance(target, Flow) and target.failed):
        return None
    if not isinstance(target, Tensor) or target.kind not in INTEGERS or len(target.shape) != 1:
        findings.problem(
            f"{node.title}: the shape that it gives is computed while the model runs",
            hint="export the model with fixed sizes, or simplify it (onnxsim), so that the shape is a constant",
        )
        return None
    if target.count > MOST_DIMENSIONS:
        findings.problem(f"{node.title}: a shape of {target.count:,} dimensions", expected=f"at most {MOST_DIMENSIONS}")
        return None
    wanted = [int(n) for n in target.array()]
    if target.batch is not None:
        wanted = [_BATCH if open_ else n for n, open_ in zip(wanted, target.batch, strict=True)]
    keeps_zero = bool(node.integer("allowzero", 0, findings))
    if value.free:
        return _with_free_batch(node, value, wanted, keeps_zero, findings)
    sizes = known_sizes(node, value, findings)
    if sizes is None:
        return None
    try:
        full = reshaped_sizes(sizes, wanted, keeps_zero)
    except NotFoldable as error:
        findings.problem(f"{node.title}: {error}")
        return None
    return to_shape(value, full)


def to_shape(value: Operand, full: tuple[int, ...]) -> Made | Same:
    """Return a value of which all sizes are known in another shape; a single value as a scalar is its own sum."""
    if value.shape == full and isinstance(value, Flow | Tensor):
        return Same(value)
    if not full:
        axes = tuple(range(len(value.shape or ())))
        return Made("Reduction", (value,), {"operation": "sum", "axes": axes, "keepdims": False})
    return Made("Reshape", (value,), {"shape": full})


def _with_free_batch(
    node: OnnxNode, value: Operand, wanted: list[int], keeps_zero: bool, findings: Findings
) -> Made | Same | None:
    first, rest = wanted[0] if wanted else None, wanted[1:]
    kept = first in (_BATCH, node.batch) or (first == 0 and not keeps_zero)
    if _BATCH in rest:
        findings.problem(f"{node.title}: the number of images in another place than the first of {_words(wanted)}")
        return None
    if kept and rest == [-1]:
        return Made("Flatten", (value,), item=_flat(value.shape))
    shape_ = known_shape(node, value, findings)
    if shape_ is None:
        return None
    item = shape_[1:]
    # A 0 of the target keeps the size at its own place, which is one further behind without the batch.
    rest = [item[i] or 0 if n == 0 and not keeps_zero and i < len(item) else n for i, n in enumerate(rest)]
    if None not in item and (kept or first == -1):
        count = math.prod(n for n in item if n is not None)
        others = math.prod(n for n in rest if n != -1)
        if kept and rest.count(-1) == 1 and others > 0 and count % others == 0:
            rest[rest.index(-1)] = count // others
        if min(rest, default=0) > 0 and math.prod(rest) == count:
            if tuple(rest) == item and isinstance(value, Flow):
                return Same(value)
            if len(rest) == 1:
                return Made("Flatten", (value,), item=tuple(rest))
            return Made("Reshape", (value,), {"shape": (0, *rest)}, item=tuple(rest))
    elif kept and rest.count(-1) <= 1 and min(rest, default=0) >= -1:
        return Made("Reshape", (value,), {"shape": (0, *rest)}, item=tuple(n if n > 0 else None for n in rest))
    images = math.prod(n for n in item if n is not None) if None not in item else "..."
    findings.problem(
        f"{node.title}: from {shape_words(shape_)} to {_words(wanted)}",
        expected=f"(images, {images}), with 0 or -1 for the images",
    )
    return None


def flatten(node: OnnxNode, inputs: Inputs, findings: Findings) -> Outcome:
    """Flatten to two dimensions; usually to (images, features)."""
    value = value_of(node, inputs[0], findings)
    if value is None:
        return None
    axis = node.integer("axis", 1, findings)
    if axis < 0:
        resolved = axis_of(node, axis, value, findings, batch=True)
        if resolved is None:
            return None
        axis = resolved
    if value.free:
        if axis != 1:
            stated = node.integer("axis", 1, findings)
            findings.problem(f"{node.title}: axis {stated}", expected="axis 1: one row for each image")
            return None
        return Made("Flatten", (value,), item=_flat(value.shape))
    sizes = known_sizes(node, value, findings)
    if sizes is None:
        return None
    if axis > len(sizes):
        findings.problem(f"{node.title}: axis {axis} of a value with {len(sizes)} dimensions")
        return None
    return to_shape(value, (math.prod(sizes[:axis]), math.prod(sizes[axis:])))


def squeeze(node: OnnxNode, inputs: Inputs, findings: Findings) -> Outcome:
    """Squeeze: leaves out dimensions of length 1, those that it states or all."""
    value = value_of(node, inputs[0], findings)
    axes = None if value is None else stated_axes(node, inputs, findings)
    shape_ = None if value is None else known_shape(node, value, findings)
    if value is None or axes is None or shape_ is None:
        return None
    found = [axis_of(node, axis, value, findings) for axis in axes]
    gone = {a for a in found if a is not None} if axes else {i for i, n in enumerate(shape_) if n == 1}
    if None in found:
        return None
    long = [i for i in gone if shape_[i] != 1]
    if long:
        shown = shape_words(shape_)
        findings.problem(f"{node.title}: axis {long[0]} of {shown} is not of length 1")
        return None
    return _with_dimensions(node, value, tuple(n for i, n in enumerate(shape_) if i not in gone), findings)


def unsqueeze(node: OnnxNode, inputs: Inputs, findings: Findings) -> Outcome:
    """Unsqueeze: puts dimensions of length 1 at the places that it states."""
    value = value_of(node, inputs[0], findings)
    axes = None if value is None else stated_axes(node, inputs, findings)
    shape_ = None if value is None else known_shape(node, value, findings)
    if value is None or axes is None or shape_ is None:
        return None
    if len(shape_) + len(axes) > MOST_DIMENSIONS:
        findings.problem(f"{node.title}: {len(axes):,} new dimensions")
        return None
    found = [axis_of(node, axis, value, findings, beyond=len(axes)) for axis in axes]
    if None in found:
        return None
    new, old = {a for a in found if a is not None}, iter(shape_)
    if len(new) < len(axes):
        findings.problem(f"{node.title}: axes {list(axes)} name one twice")
        return None
    full = tuple(1 if i in new else next(old) for i in range(len(shape_) + len(axes)))
    return _with_dimensions(node, value, full, findings)


def _with_dimensions(node: OnnxNode, value: Operand, full: Sizes, findings: Findings) -> Outcome:
    """Return a value in a shape that has the same values in the same order; of its sizes one may be unknown."""
    if full == value.shape:
        return Same(value)
    if not value.free:
        return to_shape(value, tuple(n for n in full if n is not None))
    item = full[1:]
    if item.count(None) > 1:
        known_sizes(node, value, findings)
        return None
    if not item:
        findings.problem(
            f"{node.title}: nothing is left of each image but one number", expected="a dimension beside the batch"
        )
        return None
    return Made("Reshape", (value,), {"shape": (0, *(-1 if n is None else n for n in item))}, item=item)


def _flat(shape_: Sizes | None) -> Sizes:
    if shape_ is None:
        return (None,)
    known = [n for n in shape_[1:] if n is not None]
    return (math.prod(known),) if len(known) == len(shape_) - 1 else (None,)


def _words(wanted: list[int]) -> str:
    return "[" + ", ".join("images" if n == _BATCH else str(n) for n in wanted) + "]"
