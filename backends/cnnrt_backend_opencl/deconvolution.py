"""Transposed convolution: outputs gather what reaches them; neighbouring output channels fill vectors."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

import numpy as np

from cnnrt.backend import Device, Packed
from cnnrt.layer import Array
from cnnrt.layer_call import LayerCall
from cnnrt_backend_opencl.channel_vectors import lanes_for, vector_launch
from cnnrt_backend_opencl.convolution import MOST_VALUES, biases_of
from cnnrt_backend_opencl.cost_model import product_seconds
from cnnrt_backend_opencl.folding import folded_defines
from cnnrt_backend_opencl.half_weights import BOTH_TYPES, weight_bytes, weight_defines, weight_type
from cnnrt_backend_opencl.kernel import Argument, Input, Launch, OpenCLKernel, Output, Weight
from cnnrt_backend_opencl.sources import Defines

if TYPE_CHECKING:
    from cnnrt_layers.deconvolution import Deconvolution


class GatherSpread(OpenCLKernel):
    """Any kernel, stride and dilation; groups of one channel in vectors of channels."""

    layer = "Deconvolution"
    name = "gather"
    source = "deconvolution.cl"
    folds = ("ReLU",)
    weight_types = BOTH_TYPES

    def can_run(self, call: LayerCall, device: Device) -> bool | str:
        """Decline what cannot be counted in 32 bits."""
        values = max(math.prod(t.shape) for t in (*call.inputs, *call.outputs, *call.weights.values()))
        return values <= MOST_VALUES or "counts values in 32 bits"

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return a quarter of the device's rate: each product loads its weight anew."""
        return product_seconds(device, 4 * call.cost.flops)

    def pack(self, call: LayerCall, weights: Mapping[str, Array]) -> Packed:
        """Return the weights as [group][row][column][input][output], or [row][column][channel]; and biases."""
        layer, weight = cast("Deconvolution", call.layer), weights["weight"]
        channels, made, *kernel = weight.shape
        if _each_channel(call):
            packed = weight.reshape(channels, *kernel).transpose(1, 2, 0)
        else:
            grouped = weight.reshape(layer.group, channels // layer.group, made, *kernel)
            packed = grouped.transpose(0, 3, 4, 1, 2)
        return np.ascontiguousarray(packed, weight_type(call)), biases_of(weights, layer.group * made, 1, 1)

    def packed_bytes(self, call: LayerCall) -> int:
        """Return the bytes of weights and a bias for each channel."""
        return weight_bytes(call, math.prod(call.weight_shapes["weight"])) + 4 * call.outputs[0].shape[1]

    def defines(self, call: LayerCall, device: Device) -> Mapping[str, Defines]:
        """Return the lanes of a vector, whether groups are of one channel, and what is folded in."""
        known = {"LANES": self._lanes(call, device), "EACH_CHANNEL": int(_each_channel(call))}
        return {**folded_defines(call), **weight_defines(call), **known}

    def launches(self, call: LayerCall, device: Device) -> Sequence[Launch]:
        """Return one launch: vectors of channels × runs of columns × rows of all images."""
        layer = cast("Deconvolution", call.layer)
        channels, made, *kernel = call.weight_shapes["weight"]
        run = vector_launch(call, device, self._lanes(call, device))
        sizes = (channels // layer.group, made, layer.group, *call.inputs[0].shape[2:], *call.outputs[0].shape[2:])
        moves = (*kernel, *layer.stride, *layer.dilation, *layer.pad[:2])
        buffers = (Input(), Weight(0), Weight(1), Output())
        arguments: tuple[Argument, ...] = (*buffers, run.rows, run.columns, *sizes, *moves)
        return [Launch("spread", run.size, run.group, arguments)]

    def _lanes(self, call: LayerCall, device: Device) -> int:
        outputs = call.outputs[0].shape[1]
        return lanes_for(outputs if _each_channel(call) else call.weight_shapes["weight"][1], device)


def _each_channel(call: LayerCall) -> bool:
    """Tell whether groups have one input and one output."""
    channels, made, *_ = call.weight_shapes["weight"]
    return made == 1 and cast("Deconvolution", call.layer).group == channels
