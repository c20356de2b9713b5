"""Convolution with as many groups as channels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from cnnrt.backend import Device, Packed
from cnnrt.layer import Array
from cnnrt.layer_call import LayerCall
from cnnrt_backend_opencl.channel_vectors import lanes_for, pixel_launch
from cnnrt_backend_opencl.convolution import ConvolutionKernel, biases_of, result_buffers
from cnnrt_backend_opencl.cost_model import pass_seconds
from cnnrt_backend_opencl.folding import folded_defines
from cnnrt_backend_opencl.half_weights import BOTH_TYPES, weight_bytes, weight_defines, weight_type
from cnnrt_backend_opencl.kernel import Input, Launch, Weight
from cnnrt_backend_opencl.sources import Defines
from cnnrt_layers.convolution_geometry import ConvolutionGeometry, convolution_geometry


class DepthwiseConvolution(ConvolutionKernel):
    """Each channel by itself: neighbouring channels fill vectors."""

    name = "depthwise"
    source = "convolution_depthwise.cl"
    weight_types = BOTH_TYPES

    def takes_sizes(self, g: ConvolutionGeometry, device: Device) -> str:
        """Decline anything but one input and one output in each group."""
        return "" if g.group_inputs == g.group_outputs == 1 else "takes groups of one channel"

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return a pass over all windows, each value of which is in the cache by then."""
        return pass_seconds(device, math.prod(call.inputs[0].shape) + call.cost.flops / 4)

    def pack(self, call: LayerCall, weights: Mapping[str, Array]) -> Packed:
        """Return the weights as [row][column][channel], and biases."""
        weight = weights["weight"]
        taps = np.ascontiguousarray(weight.reshape(len(weight), -1).T, weight_type(call))
        return taps, biases_of(weights, len(weight), 1, 1)

    def packed_bytes(self, call: LayerCall) -> int:
        """Return the bytes of weights and a bias for each channel."""
        g = convolution_geometry(call)
        return weight_bytes(call, g.outputs * g.depth) + 4 * g.outputs

    def defines(self, call: LayerCall, device: Device) -> Mapping[str, Defines]:
        """Return the lanes of a vector, the kernel's columns if they are the usual three, and what is folded in."""
        g = convolution_geometry(call)
        known: dict[str, Defines] = {"KERNEL_COLUMNS": 3} if g.kernel[1] == 3 else {}
        return {**folded_defines(call), **weight_defines(call), **known, "LANES": lanes_for(g.outputs, device)}

    def launches(self, call: LayerCall, device: Device) -> Sequence[Launch]:
        """Return one launch: vectors of channels × runs of columns × rows of all images."""
        g = convolution_geometry(call)
        run = pixel_launch(call, device)
        image = (g.outputs, *g.input_size, *g.output_size)
        moves = (*g.kernel, *g.stride, *g.dilation, *g.before)
        arguments = (Input(), Weight(0), Weight(1), *result_buffers(call), run.rows, run.columns, *image, *moves)
        return [Launch("depthwise", run.size, run.group, arguments)]
