"""Operators that arrange values: reshapes, slices, joins, reductions. Of constants and of sizes they are done here."""

from __future__ import annotations

from collections.abc import Sequence

from cnnrt.channels_last import operands, regions
from cnnrt.channels_last.operands import failed
from cnnrt.channels_last.shape_numbers import shape_numbers
from cnnrt.channels_last.strided import Masks
from cnnrt.channels_last.values import FAILED, Flow
from cnnrt_import_tflite.operands import Context, Operand, Operator, Result

_REDUCTIONS = {"MEAN": "mean", "SUM": "sum", "REDUCE_MAX": "max", "REDUCE_MIN": "min", "REDUCE_PROD": "prod"}
REDUCTIONS = tuple(_REDUCTIONS)


def identity(context: Context, operator: Operator, inputs: Sequence[Operand]) -> Result:
    """DEQUANTIZE, QUANTIZE and CAST: here every computed value is float32, and constants are dequantised already."""
    given = inputs[0]
    return context.net.same(operator.place, given) if isinstance(given, Flow) else given


def shape_of(context: Context, operator: Operator, inputs: Sequence[Operand]) -> Result:
    """SHAPE: sizes, of which the batch is unknown."""
    return operands.sizes_of(context.net, operator.place, inputs[0])


def reshape(context: Context, operator: Operator, inputs: Sequence[Operand]) -> Result:
    """RESHAPE: the shape is the second input or, in older files, an option."""
    target = inputs[1] if len(inputs) > 1 else shape_numbers(operator.integers(0))
    return operands.reshape(context.net, operator.place, inputs[0], target, context.batch)


def squeeze(context: Context, operator: Operator, inputs: Sequence[Operand]) -> Result:
    """SQUEEZE: axes of size 1 are dropped."""
    return operands.squeeze(context.net, operator.place, inputs[0], operator.integers(0))


def expand(context: Context, operator: Operator, inputs: Sequence[Operand]) -> Result:
    """EXPAND_DIMS: an axis of size 1 is added."""
    axes = context.numbers(operator, inputs[1], "its axis")
    return operands.expand(context.net, operator.place, inputs[0], axes[0]) if axes else FAILED


def transpose(context: Context, operator: Operator, inputs: Sequence[Operand]) -> Result:
    """TRANSPOSE: of computed values nothing moves before something depends on it."""
    axes = context.numbers(operator, inputs[1], "its order of axes")
    return FAILED if axes is None else operands.transpose(context.net, operator.place, inputs[0], axes)


def join(context: Context, operator: Operator, inputs: Sequence[Operand]) -> Result:
    """CONCATENATION."""
    if not operator.integer(1, "b"):
        return operands.join(context.net, operator.place, inputs, operator.integer(0))
    made = operands.join(context.net, operator.part("linear"), inputs, operator.integer(0))
    return context.fused(operator, 1, made) if isinstance(made, Flow) else made


def pack(context: Context, operator: Operator, inputs: Sequence[Operand]) -> Result:
    """PACK: of sizes and constants only, which make a shape."""
    return operands.stack(context.net, operator.place, inputs, operator.integer(1))


def slice_strided(context: Context, operator: Operator, inputs: Sequence[Operand]) -> Result:
    """STRIDED_SLICE: of sizes one or some of them, of values a region."""
    starts, ends, steps = (context.numbers(operator, i, "where it cuts") for i in inputs[1:4])
    if starts is None or ends is None or steps is None or failed(inputs):
        return FAILED
    masks = Masks(*(operator.integer(field) for field in range(5)))
    return operands.cut(context.net, operator.place, inputs[0], (starts, ends, steps), masks)


def slice_plain(context: Context, operator: Operator, inputs: Sequence[Operand]) -> Result:
    """SLICE: from a place on, so many values (-1: all)."""
    starts, counts = (context.numbers(operator, i, "where it cuts") for i in inputs[1:3])
    if starts is None or counts is None or failed(inputs):
        return FAILED
    if counts[:1] == (context.batch,) and starts[:1] == (0,):
        counts = (-1, *counts[1:])
    return operands.cut_counted(context.net, operator.place, inputs[0], starts, counts)


def gather(context: Context, operator: Operator, inputs: Sequence[Operand]) -> Result:
    """GATHER: of sizes only."""
    return operands.look_up(context.net, operator.place, inputs[0], inputs[1])


def split(context: Context, operator: Operator, inputs: Sequence[Operand]) -> Result:
    """SPLIT (axis, value) and SPLIT_V (value, sizes, axis)."""
    plain = operator.op == "SPLIT"
    given, axis = (inputs[1], inputs[0]) if plain else (inputs[0], inputs[2])
    axes = context.numbers(operator, axis, "its axis")
    sizes = operator.integer(0) if plain else context.numbers(operator, inputs[1], "its sizes")
    if not axes or sizes is None:
        return FAILED
    return operands.split(context.net, operator.place, context.computed(operator, given), axes[0], sizes)


def pad(context: Context, operator: Operator, inputs: Sequence[Operand]) -> Result:
    """PAD, PADV2 and MIRROR_PAD."""
    pairs = operands.pad_pairs(context.net, operator.place, inputs[1])
    value = context.computed(operator, inputs[0])
    if pairs is None or value.failed:
        return FAILED
    fill = 0.0
    if operator.op == "PADV2":
        constant = context.constant(operator, inputs[2], "what it pads with")
        if constant is None or constant.count != 1:
            return FAILED
        fill = float(constant.array().reshape(-1)[0])
    mode = "constant"
    if operator.op == "MIRROR_PAD":
        mode = "symmetric" if operator.integer(0, "b") == 1 else "reflect"
    return regions.pad(context.net, operator.place, value, pairs, mode, fill)


def reduce(context: Context, operator: Operator, inputs: Sequence[Operand]) -> Result:
    """MEAN, SUM, REDUCE_MAX, REDUCE_MIN and REDUCE_PROD along axes."""
    axes = context.numbers(operator, inputs[1], "its axes")
    if axes is None or failed(inputs):
        return FAILED
    keep = operator.flag(0)
    return operands.reduce(context.net, operator.place, inputs[0], _REDUCTIONS[operator.op], axes, keep=keep)


def fill(context: Context, operator: Operator, inputs: Sequence[Operand]) -> Result:
    """FILL: a constant of one number."""
    return operands.fill(context.net, operator.place, inputs[0], inputs[1])


def find_largest(context: Context, operator: Operator, inputs: Sequence[Operand]) -> Result:
    """ARG_MAX."""
    axes = context.numbers(operator, inputs[1], "its axis")
    value = context.computed(operator, inputs[0])
    if not axes or value.failed:
        return FAILED
    return regions.arg_max(context.net, operator.place, value, axes[0])


def rearrange(context: Context, operator: Operator, inputs: Sequence[Operand]) -> Result:
    """DEPTH_TO_SPACE and SPACE_TO_DEPTH."""
    value = context.computed(operator, inputs[0])
    size = operator.integer(0)
    if value.failed:
        return value
    if size < 2:
        return context.net.problem(operator.place, f"block size {size}")
    kind = "DepthToSpace" if operator.op == "DEPTH_TO_SPACE" else "SpaceToDepth"
    return regions.rearrange(context.net, operator.place, value, kind, size)


def repeat(context: Context, operator: Operator, inputs: Sequence[Operand]) -> Result:
    """TILE: copies along axes."""
    counts = context.numbers(operator, inputs[1], "how often")
    if counts is None:
        return FAILED
    return regions.tile(context.net, operator.place, context.computed(operator, inputs[0]), counts)
