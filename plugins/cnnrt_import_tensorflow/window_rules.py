"""Convolutions and poolings, convolutions with gaps as older graphs write them included."""

from __future__ import annotations

from collections.abc import Sequence

from cnnrt.channels_last.constants import Constant
from cnnrt.channels_last.graph_rules import Context, Operand, Result
from cnnrt.channels_last.shape_numbers import numbers_of
from cnnrt.channels_last.spaced import Spaced, batch_to_space, convolve_apart, space_to_batch
from cnnrt.channels_last.values import FAILED, Flow, Place, shape_words
from cnnrt.channels_last.windows import Sliding, convolution, deconvolution, depthwise_convolution, pooling
from cnnrt_import_tensorflow.nodes import Node
from cnnrt_import_tensorflow.sliding import sliding_of

# Kernels are stored as (rows, columns, inputs, outputs); depthwise as (rows, columns, channels, multiplier); those of
# transposed convolutions as (rows, columns, outputs, inputs).
_OIHW, _CMHW, _IOHW = (3, 2, 0, 1), (2, 3, 0, 1), (3, 2, 0, 1)


def convolve(context: Context, node: Node, inputs: Sequence[Operand]) -> Result:
    """Conv2D and DepthwiseConv2dNative."""
    kernels = context.constant(node, inputs[1], "its kernels")
    sliding = sliding_of(context, node)
    if kernels is None or sliding is None:
        return FAILED
    given = inputs[0]
    if isinstance(given, Spaced):

        def apart(place: Place, value: Flow, gaps: Sliding) -> Flow:
            return _convolved(context, node.op, place, value, kernels, gaps)

        return convolve_apart(context.net, node.place, given, sliding, apart)
    return _convolved(context, node.op, node.place, context.computed(node, given), kernels, sliding)


def _convolved(context: Context, op: str, place: Place, value: Flow, kernels: Constant, sliding: Sliding) -> Flow:
    if op == "Conv2D":
        return convolution(context.net, place, value, kernels, _OIHW, sliding)
    return depthwise_convolution(context.net, place, value, kernels, _CMHW, sliding)


def take_apart(context: Context, node: Node, inputs: Sequence[Operand]) -> Result:
    """SpaceToBatchND, the first of three nodes that are a convolution with gaps."""
    return space_to_batch(context.net, node.place, context.computed(node, inputs[0]), inputs[1], inputs[2])


def put_together(context: Context, node: Node, inputs: Sequence[Operand]) -> Result:
    """BatchToSpaceND, the last of three nodes that are a convolution with gaps."""
    return batch_to_space(context.net, node.place, *inputs)


def deconvolve(context: Context, node: Node, inputs: Sequence[Operand]) -> Result:
    """Conv2DBackpropInput: a transposed convolution; its first input is the shape of the output."""
    kernels = context.constant(node, inputs[1], "its kernels")
    sliding = sliding_of(context, node)
    value = context.computed(node, inputs[2])
    if kernels is None or sliding is None or value.failed:
        return FAILED
    shape = numbers_of(inputs[0])
    if shape is None or len(shape) != 4:
        return context.net.problem(node.place, "the size of its output depends on the input", expected="known sizes")
    rows, columns = shape[1:3] if sliding.channels_last else shape[2:4]
    if rows is None or columns is None:
        shown = f"an output of shape {shape_words(shape)}"
        return context.net.problem(node.place, shown, expected="known rows and columns")
    return deconvolution(context.net, node.place, value, kernels, _IOHW, sliding, (rows, columns))


def pool(context: Context, node: Node, inputs: Sequence[Operand]) -> Result:
    """MaxPool and AvgPool."""
    value = context.computed(node, inputs[0])
    sliding = sliding_of(context, node)
    kernel = node.integers("ksize")
    if sliding is None or value.failed:
        return FAILED
    rows, columns, channels = (1, 2, 3) if sliding.channels_last else (2, 3, 1)
    if len(kernel) != 4 or kernel[0] != 1 or kernel[channels] != 1:
        return context.net.problem(node.place, f"windows of {list(kernel)[:8]}", expected="rows and columns")
    kind = "max" if node.op == "MaxPool" else "mean"
    return pooling(context.net, node.place, value, kind, (kernel[rows], kernel[columns]), sliding)
