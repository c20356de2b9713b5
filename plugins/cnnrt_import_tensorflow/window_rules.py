"""Convolutions and poolings, convolutions with gaps as older graphs write them included."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from cnnrt.channels_last.constants import Constant
from cnnrt.channels_last.shape_numbers import numbers_of
from cnnrt.channels_last.values import FAILED, Flow, shape_words
from cnnrt.channels_last.windows import Sliding, convolution, deconvolution, depthwise_convolution, pooling
from cnnrt_import_tensorflow.nodes import Node
from cnnrt_import_tensorflow.operands import Context, Operand, Result, Spaced, sliding_of

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
        if given.convolution is not None or sliding.padding != "valid" or sliding.stride != (1, 1):
            return context.net.problem(node.place, "between SpaceToBatchND and BatchToSpaceND", expected=_GAPS)
        return attrs.evolve(given, convolution=(node, kernels))
    return _convolved(context, node, context.computed(node, given), kernels, sliding)


def _convolved(context: Context, node: Node, value: Flow, kernels: Constant, sliding: Sliding) -> Flow:
    if node.op == "Conv2D":
        return convolution(context.net, node.place, value, kernels, _OIHW, sliding)
    return depthwise_convolution(context.net, node.place, value, kernels, _CMHW, sliding)


_GAPS = "one convolution of stride 1 without padding between SpaceToBatchND and BatchToSpaceND"


def space_to_batch(context: Context, node: Node, inputs: Sequence[Operand]) -> Result:
    """SpaceToBatchND, the first of three nodes that are a convolution with gaps."""
    value = context.computed(node, inputs[0])
    gaps, pads = (_few(context, node, i) for i in inputs[1:3])
    if value.failed or gaps is None or pads is None:
        return FAILED
    if len(gaps) != 2 or len(pads) != 4 or min(gaps) < 1 or min(pads) < 0:
        shown = f"blocks {list(gaps)[:8]} with paddings {list(pads)[:8]}"
        return context.net.problem(node.place, shown, expected=_GAPS)
    return Spaced(value, (gaps[0], gaps[1]), (pads[0], pads[1], pads[2], pads[3]))


def batch_to_space(context: Context, node: Node, inputs: Sequence[Operand]) -> Result:
    """BatchToSpaceND, the last of three nodes that are a convolution with gaps.

    It cuts off what was padded too much.
    """
    given = inputs[0]
    gaps, crops = (_few(context, node, i) for i in inputs[1:3])
    if gaps is None or crops is None or (isinstance(given, Flow) and given.failed):
        return FAILED
    if not isinstance(given, Spaced) or given.convolution is None or gaps != given.gaps or len(crops) != 4:
        return context.net.problem(node.place, "not the end of a convolution with gaps", expected=_GAPS)
    pads = [pad - crop for pad, crop in zip(given.pads, crops, strict=True)]
    if min(pads) < 0:
        return context.net.problem(node.place, f"it cuts {list(crops)} off of paddings {list(given.pads)}")
    convolved, kernels = given.convolution
    sliding = Sliding((pads[0], pads[2], pads[1], pads[3]), (1, 1), given.gaps)
    return _convolved(
        context,
        attrs.evolve(convolved, stored=attrs.evolve(convolved.stored, name=node.name)),
        given.value,
        kernels,
        sliding,
    )


def _few(context: Context, node: Node, operand: Operand) -> tuple[int, ...] | None:
    if isinstance(operand, Constant) and operand.kind == "integer" and operand.count <= 16:
        return tuple(int(n) for n in operand.array().reshape(-1))
    return context.numbers(node, operand, "its block")


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
