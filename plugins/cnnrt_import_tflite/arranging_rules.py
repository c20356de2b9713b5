"""Operators that arrange values: reshapes, slices, joins, reductions. Of constants and of sizes they are done here."""

from __future__ import annotations

from collections.abc import Sequence

from cnnrt.channels_last import graph_rules, operands, regions
from cnnrt.channels_last.graph_rules import Operand, Result
from cnnrt.channels_last.shape_numbers import shape_numbers
from cnnrt.channels_last.strided import Masks
from cnnrt.channels_last.values import Flow
from cnnrt_import_tflite.operands import Context, Operator

_REDUCTIONS = {"MEAN": "mean", "SUM": "sum", "REDUCE_MAX": "max", "REDUCE_MIN": "min", "REDUCE_PROD": "prod"}
REDUCTIONS = tuple(_REDUCTIONS)


def identity(context: Context, operator: Operator, inputs: Sequence[Operand]) -> Result:
    """DEQUANTIZE, QUANTIZE and CAST: here every computed value is float32, and constants are dequantised already."""
    given = inputs[0]
    return context.net.same(operator.place, given) if isinstance(given, Flow) else given


def reshape(context: Context, operator: Operator, inputs: Sequence[Operand]) -> Result:
    """RESHAPE: the shape is the second input or, in older files, an option."""
    target = inputs[1] if len(inputs) > 1 else shape_numbers(operator.integers(0))
    return operands.reshape(context.net, operator.place, inputs[0], target, context.batch)


def squeeze(context: Context, operator: Operator, inputs: Sequence[Operand]) -> Result:
    """SQUEEZE: axes of size 1 are dropped."""
    return operands.squeeze(context.net, operator.place, inputs[0], operator.integers(0))


def join(context: Context, operator: Operator, inputs: Sequence[Operand]) -> Result:
    """CONCATENATION."""
    if not operator.integer(1, "b"):
        return operands.join(context.net, operator.place, inputs, operator.integer(0))
    made = operands.join(context.net, operator.part("linear"), inputs, operator.integer(0))
    return context.fused(operator, 1, made) if isinstance(made, Flow) else made


def pack(context: Context, operator: Operator, inputs: Sequence[Operand]) -> Result:
    """PACK: of sizes and constants only, which make a shape."""
    return operands.stack(context.net, operator.place, inputs, operator.integer(1))


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


def slice_strided(context: Context, operator: Operator, inputs: Sequence[Operand]) -> Result:
    """STRIDED_SLICE."""
    masks = Masks(*(operator.integer(field) for field in range(5)))
    return graph_rules.slice_strided(context, operator, inputs, masks)


def split(context: Context, operator: Operator, inputs: Sequence[Operand]) -> Result:
    """SPLIT (axis, value) and SPLIT_V (value, sizes, axis)."""
    return graph_rules.split(context, operator, inputs, operator.integer(0) if operator.op == "SPLIT" else None)


def pad(context: Context, operator: Operator, inputs: Sequence[Operand]) -> Result:
    """PAD, PADV2 and MIRROR_PAD."""
    mode = "constant"
    if operator.op == "MIRROR_PAD":
        mode = "symmetric" if operator.integer(0, "b") == 1 else "reflect"
    return graph_rules.pad(context, operator, inputs, mode)


def reduce(context: Context, operator: Operator, inputs: Sequence[Operand]) -> Result:
    """MEAN, SUM, REDUCE_MAX, REDUCE_MIN and REDUCE_PROD along axes."""
    return graph_rules.reduce(context, operator, inputs, _REDUCTIONS[operator.op], keep=operator.flag(0))
