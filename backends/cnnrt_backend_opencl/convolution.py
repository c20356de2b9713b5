"""What all kernels of Convolution share: the sizes of a call as definitions, and how its weights are ordered."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import DTypeLike

from cnnrt.backend import Device
from cnnrt.layer import Array
from cnnrt.layer_call import LayerCall
from cnnrt_backend_opencl.folding import FOLDS_WITH_SUM, adds_first, adds_residual
from cnnrt_backend_opencl.kernel import Input, OpenCLKernel, Output
from cnnrt_layers.convolution_geometry import ConvolutionGeometry, convolution_geometry

MOST_VALUES = 2**31 - 1
"""Of a tensor: kernels count them in 32 bits."""


class ConvolutionKernel(OpenCLKernel):
    """Base: images and results lie channels last."""

    layer = "Convolution"
    folds = FOLDS_WITH_SUM

    def can_run(self, call: LayerCall, device: Device) -> bool | str:
        """Decline what cannot be counted in 32 bits, and what a subclass says against the sizes."""
        if any(math.prod(t.shape) > MOST_VALUES for t in (*call.inputs, *call.outputs)):
            return "counts values in 32 bits"
        if not adds_first(call):
            return "adds a residual before anything else that is folded in"
        return self.takes_sizes(convolution_geometry(call), device) or True

    def takes_sizes(self, g: ConvolutionGeometry, device: Device) -> str:
        """Return what speaks against these sizes on a device; empty: nothing."""
        return ""


def size_arguments(g: ConvolutionGeometry) -> tuple[int, ...]:
    """Return the sizes of a convolution in the order in which kernels take them: pixels, channels, images, kernel."""
    channels = (g.group_inputs, g.group_outputs, g.groups)
    return (pixels_of(g), *channels, *g.input_size, *g.output_size, *g.kernel, *g.stride, *g.dilation, *g.before)


def pixels_of(g: ConvolutionGeometry) -> int:
    """Return the pixels of all output images."""
    return g.images * g.output_size[0] * g.output_size[1]


def result_buffers(call: LayerCall) -> tuple[Input | Output, ...]:
    """Return the output, and behind it the residual, where one is added."""
    return (Output(), Input(1)) if adds_residual(call) else (Output(),)


def panels(matrix: Array, groups: int, width: int, dtype: DTypeLike = np.float32) -> Array:
    """Return rows of weights, (groups * outputs, ...), as [group][panel][depth][width], filled up with zeros.

    Panel by panel, so that no second copy of all weights is made.
    """
    outputs, depth = len(matrix) // groups, math.prod(matrix.shape[1:])
    count = -(-outputs // width)
    packed = np.zeros((groups, count, depth, width), dtype)
    for group, panel in itertools.product(range(groups), range(count)):
        first = panel * width
        rows = matrix[group * outputs + first : group * outputs + min(first + width, outputs)]
        packed[group, panel, :, : len(rows)] = rows.reshape(len(rows), depth).T
    return packed


def biases_of(weights: Mapping[str, Array], outputs: int, groups: int, width: int, zeros: int = 0) -> Array:
    """Return the biases, those of each group filled up with zeros to a multiple of `width`, and so many zeros more."""
    each = outputs // groups
    padded = -(-each // width) * width
    whole = np.zeros(groups * padded + zeros, np.float32)
    if "bias" in weights:
        whole[: groups * padded].reshape(groups, padded)[:, :each] = weights["bias"].reshape(groups, each)
    return whole


def channels_last(weight: Array, dtype: DTypeLike = np.float32) -> Array:
    """Return (outputs, inputs, rows, columns) as (outputs, rows * columns * inputs), in which order images lie too."""
    return np.ascontiguousarray(weight.transpose(0, 2, 3, 1), dtype=dtype).reshape(len(weight), -1)
