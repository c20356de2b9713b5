"""Operators that arrange values: reshapes, slices, joins, reductions. Of constants and of sizes they are done here."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cnnrt.channels_last import operands, regions
from cnnrt.channels_last.constants import MOST_VALUES, Constant, constant_of
from cnnrt.channels_last.operands import failed
from cnnrt.channels_last.strided import Masks
from cnnrt.channels_last.values import FAILED, Flow
from cnnrt_import_tensorflow.nodes import Node
from cnnrt_import_tensorflow.operands import Context, Operand, Result
from cnnrt_import_tensorflow.tensors import KINDS

_REDUCTIONS = {"Max": "max", "Mean": "mean", "Min": "min", "Prod": "prod", "Sum": "sum"}
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
    return operands.sizes_of(context.net, node.place, inputs[0])


def reshape(context: Context, node: Node, inputs: Sequence[Operand]) -> Result:
    """Reshape, which must keep the items of a batch apart."""
    return operands.reshape(context.net, node.place, inputs[0], inputs[1], context.batch)


def squeeze(context: Context, node: Node, inputs: Sequence[Operand]) -> Result:
    """Squeeze: axes of size 1 are dropped."""
    axes = node.integers("squeeze_dims") or node.integers("axis")
    return operands.squeeze(context.net, node.place, inputs[0], axes)


def expand(context: Context, node: Node, inputs: Sequence[Operand]) -> Result:
    """ExpandDims: an axis of size 1 is added."""
    axes = context.numbers(node, inputs[1], "its axis")
    return operands.expand(context.net, node.place, inputs[0], axes[0]) if axes else FAILED


def transpose(context: Context, node: Node, inputs: Sequence[Operand]) -> Result:
    """Transpose: of computed values nothing moves before something depends on it."""
    axes = context.numbers(node, inputs[1], "its order of axes")
    return FAILED if axes is None else operands.transpose(context.net, node.place, inputs[0], axes)


def join(context: Context, node: Node, inputs: Sequence[Operand]) -> Result:
    """Concat and ConcatV2: the axis is the first or the last input."""
    axis, parts = (inputs[0], inputs[1:]) if node.op == "Concat" else (inputs[-1], inputs[:-1])
    axes = context.numbers(node, axis, "its axis")
    return operands.join(context.net, node.place, parts, axes[0]) if axes else FAILED


def pack(context: Context, node: Node, inputs: Sequence[Operand]) -> Result:
    """Pack (tf.stack): of sizes and constants only, which make a shape."""
    return operands.stack(context.net, node.place, inputs, node.integer("axis", 0))


def slice_strided(context: Context, node: Node, inputs: Sequence[Operand]) -> Result:
    """StridedSlice: of sizes one or some of them, of values a region."""
    starts, ends, steps = (context.numbers(node, i, "where it cuts") for i in inputs[1:4])
    if starts is None or ends is None or steps is None or failed(inputs):
        return FAILED
    kinds = ("begin", "end", "ellipsis", "new_axis", "shrink_axis")
    masks = Masks(*(node.integer(f"{kind}_mask", 0) for kind in kinds))
    return operands.cut(context.net, node.place, inputs[0], (starts, ends, steps), masks)


def slice_plain(context: Context, node: Node, inputs: Sequence[Operand]) -> Result:
    """Slice: from a place on, so many values (-1: all)."""
    starts, counts = (context.numbers(node, i, "where it cuts") for i in inputs[1:3])
    if starts is None or counts is None or failed(inputs):
        return FAILED
    if counts[:1] == (context.batch,) and starts[:1] == (0,):
        counts = (-1, *counts[1:])
    return operands.cut_counted(context.net, node.place, inputs[0], starts, counts)


def gather(context: Context, node: Node, inputs: Sequence[Operand]) -> Result:
    """Gather and GatherV2: of sizes only."""
    return operands.look_up(context.net, node.place, inputs[0], inputs[1])


def split(context: Context, node: Node, inputs: Sequence[Operand]) -> Result:
    """Split (axis, value) and SplitV (value, sizes, axis)."""
    given, axis = (inputs[1], inputs[0]) if node.op == "Split" else (inputs[0], inputs[2])
    axes = context.numbers(node, axis, "its axis")
    sizes = node.integer("num_split", 1) if node.op == "Split" else context.numbers(node, inputs[1], "its sizes")
    if not axes or sizes is None:
        return FAILED
    return operands.split(context.net, node.place, context.computed(node, given), axes[0], sizes)


def pad(context: Context, node: Node, inputs: Sequence[Operand]) -> Result:
    """Pad, PadV2 and MirrorPad."""
    pairs = operands.pad_pairs(context.net, node.place, inputs[1])
    value = context.computed(node, inputs[0])
    if pairs is None or value.failed:
        return FAILED
    fill = 0.0
    if node.op == "PadV2":
        constant = context.constant(node, inputs[2], "what it pads with")
        if constant is None or constant.count != 1:
            return FAILED
        fill = float(constant.array().reshape(-1)[0])
    modes = {"REFLECT": "reflect", "SYMMETRIC": "symmetric"}
    mode = modes.get(node.text("mode"), "constant") if node.op == "MirrorPad" else "constant"
    return regions.pad(context.net, node.place, value, pairs, mode, fill)


def reduce(context: Context, node: Node, inputs: Sequence[Operand]) -> Result:
    """Mean, Sum, Max, Min and Prod along axes."""
    axes = context.numbers(node, inputs[1], "its axes")
    if axes is None or failed(inputs):
        return FAILED
    keep = node.flag("keep_dims") or node.flag("keepdims")
    return operands.reduce(context.net, node.place, inputs[0], _REDUCTIONS[node.op], axes, keep=keep)


def fill(context: Context, node: Node, inputs: Sequence[Operand]) -> Result:
    """Fill: a constant of one number."""
    return operands.fill(context.net, node.place, inputs[0], inputs[1])


def find_largest(context: Context, node: Node, inputs: Sequence[Operand]) -> Result:
    """ArgMax."""
    axes = context.numbers(node, inputs[1], "its axis")
    value = context.computed(node, inputs[0])
    if not axes or value.failed:
        return FAILED
    return regions.arg_max(context.net, node.place, value, axes[0])


def rearrange(context: Context, node: Node, inputs: Sequence[Operand]) -> Result:
    """DepthToSpace and SpaceToDepth."""
    value = context.computed(node, inputs[0])
    size = node.integer("block_size", 0)
    layout = node.text("data_format", "NHWC")
    if value.failed:
        return value
    if layout != "NHWC" or size < 2:
        return context.net.problem(node.place, f"block_size {size}, data_format {layout!r:.40}")
    return regions.rearrange(context.net, node.place, value, node.op, size)


def repeat(context: Context, node: Node, inputs: Sequence[Operand]) -> Result:
    """Tile: copies along axes."""
    counts = context.numbers(node, inputs[1], "how often")
    if counts is None:
        return FAILED
    return regions.tile(context.net, node.place, context.computed(node, inputs[0]), counts)
