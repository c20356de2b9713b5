"""Operators that arrange values: reshapes, slices, joins, reductions. Of constants and of sizes they are done here."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cnnrt.channels_last import graph_rules, operands, regions
from cnnrt.channels_last.constants import MOST_VALUES, Constant, constant_of
from cnnrt.channels_last.graph_rules import Context, Operand, Result
from cnnrt.channels_last.strided import Masks
from cnnrt.channels_last.values import FAILED, Flow
from cnnrt_import_tensorflow.nodes import Node
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


def reshape(context: Context, node: Node, inputs: Sequence[Operand]) -> Result:
    """Reshape, which must keep the items of a batch apart."""
    return operands.reshape(context.net, node.place, inputs[0], inputs[1], context.batch)


def squeeze(context: Context, node: Node, inputs: Sequence[Operand]) -> Result:
    """Squeeze: axes of size 1 are dropped."""
    axes = node.integers("squeeze_dims") or node.integers("axis")
    return operands.squeeze(context.net, node.place, inputs[0], axes)


def join(context: Context, node: Node, inputs: Sequence[Operand]) -> Result:
    """Concat and ConcatV2: the axis is the first or the last input."""
    axis, parts = (inputs[0], inputs[1:]) if node.op == "Concat" else (inputs[-1], inputs[:-1])
    axes = context.numbers(node, axis, "its axis")
    return operands.join(context.net, node.place, parts, axes[0]) if axes else FAILED


def pack(context: Context, node: Node, inputs: Sequence[Operand]) -> Result:
    """Pack (tf.stack): of sizes and constants only, which make a shape."""
    return operands.stack(context.net, node.place, inputs, node.integer("axis", 0))


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


def slice_strided(context: Context, node: Node, inputs: Sequence[Operand]) -> Result:
    """StridedSlice."""
    kinds = ("begin", "end", "ellipsis", "new_axis", "shrink_axis")
    masks = Masks(*(node.integer(f"{kind}_mask", 0) for kind in kinds))
    return graph_rules.slice_strided(context, node, inputs, masks)


def split(context: Context, node: Node, inputs: Sequence[Operand]) -> Result:
    """Split (axis, value) and SplitV (value, sizes, axis)."""
    return graph_rules.split(context, node, inputs, node.integer("num_split", 1) if node.op == "Split" else None)


def pad(context: Context, node: Node, inputs: Sequence[Operand]) -> Result:
    """Pad, PadV2 and MirrorPad."""
    modes = {"REFLECT": "reflect", "SYMMETRIC": "symmetric"}
    mode = modes.get(node.text("mode"), "constant") if node.op == "MirrorPad" else "constant"
    return graph_rules.pad(context, node, inputs, mode)


def reduce(context: Context, node: Node, inputs: Sequence[Operand]) -> Result:
    """Mean, Sum, Max, Min and Prod along axes."""
    keep = node.flag("keep_dims") or node.flag("keepdims")
    return graph_rules.reduce(context, node, inputs, _REDUCTIONS[node.op], keep=keep)
