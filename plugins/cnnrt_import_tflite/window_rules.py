"""Convolutions, products with matrices, and poolings: what has a bias or an activation of its own."""

from __future__ import annotations

from collections.abc import Sequence

from cnnrt.channels_last.arithmetic import combine
from cnnrt.channels_last.constants import Constant
from cnnrt.channels_last.dense import dense
from cnnrt.channels_last.graph_rules import Operand, Result
from cnnrt.channels_last.reshaping import reshape_item
from cnnrt.channels_last.shape_numbers import numbers_of
from cnnrt.channels_last.spaced import Spaced, batch_to_space, convolve_apart, space_to_batch
from cnnrt.channels_last.values import FAILED, Flow, Place
from cnnrt.channels_last.windows import Sliding, convolution, deconvolution, depthwise_convolution, pooling
from cnnrt_import_tflite.operands import Context, Operator, inner_place, sliding_of

# Kernels are stored as (outputs, rows, columns, inputs); depthwise as (1, rows, columns, outputs).
_OIHW, _IOHW = (0, 3, 1, 2), (3, 0, 1, 2)
_DEPTHWISE = (2, 3, 0, 1)


def convolve_image(context: Context, operator: Operator, inputs: Sequence[Operand]) -> Result:
    """CONV_2D."""
    kernels = context.constant(operator, inputs[1], "its kernels")
    if kernels is None:
        return FAILED
    sliding = sliding_of(operator, (operator.integer(5, default=1), operator.integer(4, default=1)))

    def convolve(place: Place, value: Flow, slid: Sliding) -> Flow:
        made = convolution(context.net, place, value, kernels, _OIHW, slid)
        return _finished(context, operator, 3, made, inputs[2:])

    if isinstance(inputs[0], Spaced):
        return convolve_apart(context.net, operator.place, inputs[0], sliding, convolve)
    return convolve(operator.part("product"), context.computed(operator, inputs[0]), sliding)


def convolve_depthwise(context: Context, operator: Operator, inputs: Sequence[Operand]) -> Result:
    """DEPTHWISE_CONV_2D: output c * multiplier + m is the m-th of channel c."""
    kernels = context.constant(operator, inputs[1], "its kernels")
    given = inputs[0]
    value = given.value if isinstance(given, Spaced) else context.computed(operator, given)
    if kernels is None or value.failed:
        return FAILED
    channels = value.item[-1] if value.item else None
    if len(kernels.shape) != 4 or kernels.shape[0] != 1 or not channels or kernels.shape[3] % channels:
        return context.net.problem(operator.place, f"kernels of shape {list(kernels.shape)} for {channels} channels")
    _, rows, columns, outputs = kernels.shape
    apart = kernels.reshaped((rows, columns, channels, outputs // channels))
    sliding = sliding_of(operator, (operator.integer(6, default=1), operator.integer(5, default=1)))

    def convolve(place: Place, value: Flow, slid: Sliding) -> Flow:
        made = depthwise_convolution(context.net, place, value, apart, _DEPTHWISE, slid)
        return _finished(context, operator, 4, made, inputs[2:])

    if isinstance(given, Spaced):
        return convolve_apart(context.net, operator.place, given, sliding, convolve)
    return convolve(operator.part("product"), value, sliding)


def take_apart(context: Context, operator: Operator, inputs: Sequence[Operand]) -> Result:
    """SPACE_TO_BATCH_ND, the first of three operators that are a convolution with gaps."""
    value = context.computed(operator, inputs[0])
    return space_to_batch(context.net, operator.place, value, inputs[1], inputs[2])


def put_together(context: Context, operator: Operator, inputs: Sequence[Operand]) -> Result:
    """BATCH_TO_SPACE_ND, the last of three operators that are a convolution with gaps."""
    return batch_to_space(context.net, operator.place, *inputs)


def deconvolve(context: Context, operator: Operator, inputs: Sequence[Operand]) -> Result:
    """TRANSPOSE_CONV: the first input is the shape of the output."""
    kernels = context.constant(operator, inputs[1], "its kernels")
    value = context.computed(operator, inputs[2])
    shape = numbers_of(inputs[0])
    if kernels is None or value.failed:
        return FAILED
    if shape is None or len(shape) != 4 or shape[1] is None or shape[2] is None:
        return context.net.problem(
            operator.place, "the size of its output depends on the input", expected="known sizes"
        )
    size = (shape[1], shape[2])
    made = deconvolution(context.net, operator.part("product"), value, kernels, _IOHW, sliding_of(operator), size)
    return _finished(context, operator, 3, made, inputs[3:])


def multiply_matrix(context: Context, operator: Operator, inputs: Sequence[Operand]) -> Result:
    """FULLY_CONNECTED: an image is flattened, unless the option keep_num_dims is set."""
    matrix = context.constant(operator, inputs[1], "its matrix")
    value = context.computed(operator, inputs[0])
    if matrix is None or value.failed:
        return FAILED
    if operator.integer(1, "b"):
        return context.net.problem(operator.place, "weights in shuffled order", expected="the default format")
    if value.rank > 1 and not operator.flag(2):
        if value.sizes is None:
            return context.net.unknown_shape(operator.place)
        count = 1
        for n in value.sizes:
            count *= n
        value = reshape_item(context.net, operator.part("flat"), value, (count,))
    made = dense(context.net, operator.part("product"), value, matrix, rows_are_outputs=True)
    return _finished(context, operator, 0, made, inputs[2:])


def pool(context: Context, operator: Operator, inputs: Sequence[Operand]) -> Result:
    """MAX_POOL_2D and AVERAGE_POOL_2D."""
    kind = "max" if operator.op == "MAX_POOL_2D" else "mean"
    kernel = (operator.integer(4), operator.integer(3))
    place = inner_place(operator, 5)
    value = context.computed(operator, inputs[0])
    made = pooling(context.net, place, value, kind, kernel, sliding_of(operator))
    return context.fused(operator, 5, made)


def _finished(context: Context, operator: Operator, field: int, made: Flow, bias: Sequence[Operand]) -> Flow:
    """Add the bias, where there is one, and apply the activation."""
    place: Place = inner_place(operator, field)
    if made.failed or made.step is None:
        return FAILED
    if bias and isinstance(bias[0], Constant) and bias[0].count:
        made = combine(context.net, place, "sum", made, bias[0])
    elif bias and isinstance(bias[0], Flow):
        return context.net.problem(operator.place, "its bias is computed", expected="a constant")
    elif made.step is not None:
        made.step.name, made.step.names = place.name, [place.name]
    return context.fused(operator, field, made)
