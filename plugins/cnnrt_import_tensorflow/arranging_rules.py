"""Operators that arrange values: reshapes, slices, joins, reductions. Of constants and of sizes they are done here."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cnnrt.channels_last import regions, reshaping
from cnnrt.channels_last.constants import MOST_VALUES, Constant, constant_of
from cnnrt.channels_last.shape_numbers import ShapeNumbers, is_scalar, numbers_of, shape_numbers
from cnnrt.channels_last.strided import Masks, axis_cuts, cut_numbers
from cnnrt.channels_last.values import FAILED, Flow, shape_words
from cnnrt_import_tensorflow.nodes import Node
from cnnrt_import_tensorflow.operands import Context, Operand, Result, failed
from cnnrt_import_tensorflow.tensors import KINDS

_REDUCTIONS: dict[str, tuple[str, Callable[..., Any]]] = {
    "Max": ("max", np.max),
    "Mean": ("mean", np.mean),
    "Min": ("min", np.min),
    "Prod": ("prod", np.prod),
    "Sum": ("sum", np.sum),
}
REDUCTIONS = tuple(_REDUCTIONS)


def identity(context: Context, node: Node, inputs: Sequence[Operand]) -> Result:
    """What changes nothing in inference."""
    given = inputs[0]
    return context.net.same(node.place, given) if isinstance(given, Flow) else given


def cast(context: Context, node: Node, inputs: Sequence[Operand]) -> Result:
    """Cast: between numbers; computed values are float32 whatever they are called."""
    given = inputs[0]
    kind = KINDS.get(node.data_type("DstT"))
    if isinstance(given, Flow):
        if kind is None or kind.name == "boolean":
            return context.net.problem(node.place, "to what is no number")
        if kind.name == "integer":
            return context.net.problem(node.place, "it rounds computed values to integers", expected="floating point")
        return context.net.same(node.place, given)
    if isinstance(given, Constant) and kind is not None and given.kind != "text" and given.count <= MOST_VALUES:
        with np.errstate(all="ignore"):
            stored = "<f4" if kind.name in ("half", "bfloat16") else kind.stored
            return constant_of(given.array().astype(stored), node.name)
    return given


def shape_of(context: Context, node: Node, inputs: Sequence[Operand]) -> Result:
    """Shape: sizes, of which the batch is unknown."""
    given = inputs[0]
    if isinstance(given, Constant):
        return shape_numbers(given.shape)
    value = context.computed(node, given)
    if value.failed:
        return value
    if value.sizes is None:
        return context.net.unknown_shape(node.place)
    return shape_numbers((None, *value.sizes))


def reshape(context: Context, node: Node, inputs: Sequence[Operand]) -> Result:
    """Reshape, which must keep the items of a batch apart."""
    given, target = inputs[0], numbers_of(inputs[1])
    if failed(inputs):
        return FAILED
    if target is None:
        return context.net.problem(node.place, "the shape that it gives depends on the input", expected="a constant")
    if isinstance(given, Flow):
        return reshaping.reshape(context.net, node.place, given, target, context.batch)
    if isinstance(given, Constant) and None not in target:
        shape = [n for n in target if n is not None]
        if shape.count(-1) == 1:
            others = math.prod(n for n in shape if n != -1)
            shape[shape.index(-1)] = given.count // others if others > 0 else 0
        if min(shape, default=0) < 0 or math.prod(shape) != given.count:
            shown = shape_words(given.shape)
            return context.net.problem(node.place, f"a constant of shape {shown} cannot have the shape {list(shape)}")
        return given.reshaped(tuple(shape))
    if isinstance(given, ShapeNumbers) and target in ((-1,), (len(given.values),)):
        return ShapeNumbers(given.values)
    return context.net.problem(node.place, "of sizes of values", expected="values")


def squeeze(context: Context, node: Node, inputs: Sequence[Operand]) -> Result:
    """Squeeze: axes of size 1 are dropped."""
    given, axes = inputs[0], node.integers("squeeze_dims") or node.integers("axis")
    if isinstance(given, Flow):
        return reshaping.squeeze(context.net, node.place, given, axes)
    if isinstance(given, Constant):
        rank = len(given.shape)
        named = {a % rank for a in axes if -rank <= a < rank}
        dropped = named if axes else {i for i, n in enumerate(given.shape) if n == 1}
        if all(given.shape[i] == 1 for i in dropped):
            return given.reshaped(tuple(n for i, n in enumerate(given.shape) if i not in dropped))
    if isinstance(given, ShapeNumbers) and len(given.values) == 1:
        return ShapeNumbers(given.values, scalar=True)
    return context.net.problem(node.place, f"axes {list(axes)[:8]} of sizes or of a constant that has no such ones")


def expand(context: Context, node: Node, inputs: Sequence[Operand]) -> Result:
    """ExpandDims: an axis of size 1 is added."""
    given = inputs[0]
    axes = context.numbers(node, inputs[1], "its axis")
    if axes is None or failed(inputs):
        return FAILED
    axis = axes[0] if axes else 0
    if isinstance(given, Flow):
        return reshaping.expand(context.net, node.place, given, axis)
    if isinstance(given, Constant) and -1 - len(given.shape) <= axis <= len(given.shape):
        shape = list(given.shape)
        shape.insert(axis if axis >= 0 else axis + 1 + len(shape), 1)
        return given.reshaped(tuple(shape))
    if isinstance(given, ShapeNumbers) and given.scalar and axis in (0, -1):
        return ShapeNumbers(given.values)
    return context.net.problem(node.place, f"axis {axis} of sizes or of a constant that has no such one")


def transpose(context: Context, node: Node, inputs: Sequence[Operand]) -> Result:
    """Transpose: of computed values nothing moves before something depends on it."""
    given = inputs[0]
    axes = context.numbers(node, inputs[1], "its order of axes")
    if axes is None or failed(inputs):
        return FAILED
    if isinstance(given, Constant):
        if sorted(axes) != list(range(len(given.shape))):
            return context.net.problem(node.place, f"the axes {list(axes)} of a constant of {len(given.shape)} axes")
        shape = tuple(given.shape[a] for a in axes)
        return Constant(node.name, shape, given.kind, lambda: np.ascontiguousarray(given.array().transpose(axes)))
    return reshaping.transpose(context.net, node.place, context.computed(node, given), axes)


def join(context: Context, node: Node, inputs: Sequence[Operand]) -> Result:
    """Concat and ConcatV2: the axis is the first or the last input."""
    ends = (inputs[0], inputs[1:]) if node.op == "Concat" else (inputs[-1], inputs[:-1])
    axes = context.numbers(node, ends[0], "its axis")
    parts = list(ends[1])
    if axes is None or len(axes) != 1 or failed(parts):
        return FAILED
    lists = [numbers_of(p) for p in parts]
    if not any(isinstance(p, Flow) for p in parts) and None not in lists:
        return shape_numbers([n for found in lists for n in found or ()])
    if all(isinstance(p, Constant) for p in parts):
        return _joined_constants(context, node, [p for p in parts if isinstance(p, Constant)], axes[0])
    values = [context.computed(node, p) for p in parts]
    return regions.concatenate(context.net, node.place, values, axes[0])


def _joined_constants(context: Context, node: Node, parts: list[Constant], axis: int) -> Operand:
    if sum(p.count for p in parts) > MOST_VALUES:
        hint = "freeze the graph with its constants folded"
        return context.net.problem(node.place, "it joins large constants", hint=hint)
    try:
        return constant_of(np.concatenate([p.array() for p in parts], axis), node.name)
    except (ValueError, IndexError) as error:
        return context.net.problem(node.place, f"its constants cannot be joined: {error!s:.100}")


def pack(context: Context, node: Node, inputs: Sequence[Operand]) -> Result:
    """Pack (tf.stack): of sizes and constants only, which make a shape."""
    if failed(inputs):
        return FAILED
    found = [numbers_of(i) if is_scalar(i) else None for i in inputs]
    if None in found or node.integer("axis", 0) not in (0, -1):
        return context.net.problem(node.place, "it stacks values", expected="sizes, which make a shape")
    return shape_numbers([n for numbers in found for n in numbers or ()])


def slice_strided(context: Context, node: Node, inputs: Sequence[Operand]) -> Result:
    """StridedSlice: of sizes one or some of them, of values a region."""
    given = inputs[0]
    places = [context.numbers(node, i, "where it cuts") for i in inputs[1:4]]
    if None in places or failed(inputs):
        return FAILED
    starts, ends, steps = (p or () for p in places)
    kinds = ("begin", "end", "ellipsis", "new_axis", "shrink_axis")
    masks = Masks(*(node.integer(f"{kind}_mask", 0) for kind in kinds))
    if not len(starts) == len(ends) == len(steps) or 0 in steps:
        return context.net.problem(node.place, f"from {list(starts)[:8]} to {list(ends)[:8]} by {list(steps)[:8]}")
    return _cut(context, node, given, (starts, ends, steps), masks)


def _cut(
    context: Context,
    node: Node,
    given: Operand,
    places: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]],
    masks: Masks,
) -> Operand:
    numbers = numbers_of(given)
    if isinstance(given, ShapeNumbers) or (isinstance(given, Constant) and numbers is not None):
        cut = cut_numbers(numbers or (), *places, masks)
        return cut if cut is not None else context.net.problem(node.place, "it takes sizes that are not there")
    return axis_cuts(context.net, node.place, context.computed(node, given), places, masks)


def slice_plain(context: Context, node: Node, inputs: Sequence[Operand]) -> Result:
    """Slice: from a place on, so many values (-1: all)."""
    given = inputs[0]
    places = [context.numbers(node, i, "where it cuts") for i in inputs[1:3]]
    if None in places or failed(inputs):
        return FAILED
    starts, counts = (p or () for p in places)
    steps = (1,) * len(starts)
    ends = tuple(s + c for s, c in zip(starts, counts, strict=False))
    masks = Masks(end=sum(1 << i for i, c in enumerate(counts) if c == -1))
    if len(starts) != len(counts) or min(starts, default=0) < 0:
        return context.net.problem(node.place, f"from {list(starts)[:8]}, {list(counts)[:8]} values")
    return _cut(context, node, given, (starts, ends, steps), masks)


def gather(context: Context, node: Node, inputs: Sequence[Operand]) -> Result:
    """Gather and GatherV2: of sizes only."""
    numbers, places = numbers_of(inputs[0]), numbers_of(inputs[1])
    if failed(inputs):
        return FAILED
    if numbers is None or places is None or any(p is None or not -len(numbers) <= p < len(numbers) for p in places):
        return context.net.problem(node.place, "it looks values up", expected="sizes of values")
    return shape_numbers([numbers[p] for p in places if p is not None], scalar=is_scalar(inputs[1]))


def split(context: Context, node: Node, inputs: Sequence[Operand]) -> Result:
    """Split (axis, value) and SplitV (value, sizes, axis)."""
    given, axis_input = (inputs[1], inputs[0]) if node.op == "Split" else (inputs[0], inputs[2])
    axes = context.numbers(node, axis_input, "its axis")
    value = context.computed(node, given)
    if value.failed or not axes:
        return FAILED
    own = context.net.axis(node.place, axes[0], value)
    if own is None or value.sizes is None:
        return FAILED if own is None else context.net.unknown_shape(node.place)
    if node.op == "Split":
        parts = node.integer("num_split", 1)
        if not 0 < parts <= value.sizes[own] or value.sizes[own] % parts:
            return context.net.problem(node.place, f"{parts} pieces of {value.sizes[own]} values")
        sizes: tuple[int, ...] = (value.sizes[own] // parts,) * parts
    else:
        sizes = context.numbers(node, inputs[1], "its sizes") or ()
        if sizes.count(-1) == 1:
            rest = value.sizes[own] - sum(n for n in sizes if n != -1)
            sizes = tuple(rest if n == -1 else n for n in sizes)
    return regions.split(context.net, node.place, value, axes[0], sizes)


def pad(context: Context, node: Node, inputs: Sequence[Operand]) -> Result:
    """Pad, PadV2 and MirrorPad."""
    pads = context.constant(node, inputs[1], "its paddings")
    value = context.computed(node, inputs[0])
    if pads is None or value.failed:
        return FAILED
    if pads.kind != "integer" or len(pads.shape) != 2 or pads.shape[1] != 2 or pads.count > 32:
        shown = shape_words(pads.shape)
        return context.net.problem(node.place, f"paddings of shape {shown}", expected="two for each axis")
    pairs = [(int(before), int(after)) for before, after in pads.array()]
    if not pairs or pairs[0] != (0, 0) or any(n < 0 for p in pairs for n in p):
        return context.net.problem(node.place, f"paddings {pairs[:8]}", expected="at least 0, and none of the batch")
    fill = 0.0
    if node.op == "PadV2":
        constant = context.constant(node, inputs[2], "what it pads with")
        if constant is None or constant.count != 1:
            return FAILED
        fill = float(constant.array().reshape(-1)[0])
    modes = {"REFLECT": "reflect", "SYMMETRIC": "symmetric"}
    mode = modes.get(node.text("mode"), "constant") if node.op == "MirrorPad" else "constant"
    return regions.pad(context.net, node.place, value, pairs[1:], mode, fill)


def reduce(context: Context, node: Node, inputs: Sequence[Operand]) -> Result:
    """Mean, Sum, Max, Min and Prod along axes; of constants and sizes they are computed here."""
    operation, function = _REDUCTIONS[node.op]
    given = inputs[0]
    axes = context.numbers(node, inputs[1], "its axes")
    if axes is None or failed(inputs):
        return FAILED
    keep = node.flag("keep_dims") or node.flag("keepdims")
    if isinstance(given, Flow):
        return regions.reduce(context.net, node.place, given, operation, axes, keep=keep)
    numbers = numbers_of(given)
    if isinstance(given, ShapeNumbers):
        return ShapeNumbers((None,), scalar=True)
    if not isinstance(given, Constant) or given.count > MOST_VALUES or given.kind == "text":
        return context.net.problem(node.place, "of a large constant")
    if numbers is not None and operation in ("prod", "sum"):
        plain = [n for n in numbers if n is not None]
        total = sum(plain) if operation == "sum" else math.prod(plain)
        if abs(total) < 1 << 62:
            return shape_numbers([total], scalar=True)
        return context.net.problem(node.place, f"{total:.3g} is no size")
    try:
        reduced: Any = function(given.array(), axis=axes or None, keepdims=keep)
    except (ValueError, TypeError, IndexError) as error:
        return context.net.problem(node.place, f"of a constant of shape {shape_words(given.shape)}: {error!s:.100}")
    return constant_of(np.asarray(reduced), node.name)


def fill(context: Context, node: Node, inputs: Sequence[Operand]) -> Result:
    """Fill: a constant of one number."""
    sizes = context.numbers(node, inputs[0], "its shape")
    number = context.constant(node, inputs[1], "its number")
    if sizes is None or number is None:
        return FAILED
    count = math.prod(sizes)
    if min(sizes, default=1) < 0 or count > MOST_VALUES or number.count != 1:
        return context.net.problem(node.place, f"a constant of shape {shape_words(sizes)}")
    return constant_of(np.full(sizes, number.array().reshape(-1)[0]), node.name)


def find_largest(context: Context, node: Node, inputs: Sequence[Operand]) -> Result:
    """ArgMax."""
    axes = context.numbers(node, inputs[1], "its axis")
    value = context.computed(node, inputs[0])
    if axes is None or len(axes) != 1 or value.failed:
        return FAILED
    return regions.arg_max(context.net, node.place, value, axes[0])


def rearrange(context: Context, node: Node, inputs: Sequence[Operand]) -> Result:
    """DepthToSpace and SpaceToDepth."""
    value = context.computed(node, inputs[0])
    size = node.integer("block_size", 0)
    if value.failed:
        return value
    layout = node.text("data_format", "NHWC")
    if layout != "NHWC" or size < 2:
        return context.net.problem(node.place, f"block_size {size}, data_format {layout!r:.40}")
    return regions.rearrange(context.net, node.place, value, node.op, size)
