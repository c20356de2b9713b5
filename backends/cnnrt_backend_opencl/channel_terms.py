"""Layers with a few numbers for each channel: BatchNorm, Scale, PReLU."""

from __future__ import annotations

import abc
import math
from collections.abc import Mapping, Sequence

import numpy as np

from cnnrt.backend import Device, Packed
from cnnrt.layer import Array
from cnnrt.layer_call import LayerCall
from cnnrt_backend_opencl.convolution import MOST_VALUES
from cnnrt_backend_opencl.cost_model import pass_seconds
from cnnrt_backend_opencl.folding import FOLDS, folded_defines
from cnnrt_backend_opencl.kernel import Input, Launch, OpenCLKernel, Output, Weight, flat_group, in_groups
from cnnrt_backend_opencl.limits import limits_of
from cnnrt_backend_opencl.sources import Defines


class ChannelKernel(OpenCLKernel):
    """Base: (x - mean) * factor + shift with numbers of the channel, in this order, or a factor of negative values."""

    name = "channels"
    source = "channels.cl"
    folds = FOLDS
    negative_only = False

    def can_run(self, call: LayerCall, device: Device) -> bool | str:
        """Take images, and features of items."""
        if math.prod(call.inputs[0].shape) > MOST_VALUES:
            return "counts values in 32 bits"
        return len(call.inputs[0].shape) in (2, 4) or "takes images, or items with features"

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return a pass over input and output."""
        return pass_seconds(device, 2 * math.prod(call.outputs[0].shape))

    def packing(self, call: LayerCall) -> int:
        """Return the number of channels, which one weight may serve."""
        return call.inputs[0].shape[1]

    def packed_bytes(self, call: LayerCall) -> int:
        """Return the bytes of three numbers for each channel."""
        return 12 * call.inputs[0].shape[1]

    def pack(self, call: LayerCall, weights: Mapping[str, Array]) -> Packed:
        """Return means, factors and shifts, one for each channel."""
        channels = call.inputs[0].shape[1]
        with np.errstate(all="ignore"):
            terms = self.terms(call, weights)
        return tuple(np.broadcast_to(np.asarray(t, np.float32).reshape(-1), channels).copy() for t in terms)

    @abc.abstractmethod
    def terms(self, call: LayerCall, weights: Mapping[str, Array]) -> tuple[Array, Array, Array]:
        """Return means, factors and shifts: one for each channel, or one for all."""

    def defines(self, call: LayerCall, device: Device) -> Mapping[str, Defines]:
        """Return which of the two it is, and what is folded in."""
        return {**folded_defines(call), "NEGATIVE_ONLY": int(self.negative_only)}

    def launches(self, call: LayerCall, device: Device) -> Sequence[Launch]:
        """Return one launch: values."""
        values = math.prod(call.inputs[0].shape)
        group = flat_group(limits_of(device))
        arguments = (Input(), Weight(0), Weight(1), Weight(2), Output(), values, call.inputs[0].shape[1])
        return [Launch("affine", (in_groups(values, group),), (group,), arguments)]


class NormaliseStatistics(ChannelKernel):
    """BatchNorm."""

    layer = "BatchNorm"

    def terms(self, call: LayerCall, weights: Mapping[str, Array]) -> tuple[Array, Array, Array]:
        """Return mean, factor and shift."""
        factor, _ = call.layer.affine_terms(weights)
        return weights["mean"], factor, weights.get("shift", np.zeros(1))


class ScaleChannels(ChannelKernel):
    """Scale of channels."""

    layer = "Scale"

    def can_run(self, call: LayerCall, device: Device) -> bool | str:
        """Take one factor and offset for each channel."""
        if not call.layer.is_affine(call.input_shapes, call.weight_shapes):
            return "takes one factor for each channel"
        return super().can_run(call, device)

    def terms(self, call: LayerCall, weights: Mapping[str, Array]) -> tuple[Array, Array, Array]:
        """Return factors and offsets, and no mean."""
        factor, offset = call.layer.affine_terms(weights)
        return np.zeros(1), factor, offset


class RectifyChannels(ChannelKernel):
    """PReLU."""

    layer = "PReLU"
    negative_only = True

    def terms(self, call: LayerCall, weights: Mapping[str, Array]) -> tuple[Array, Array, Array]:
        """Return the slopes as factors."""
        return np.zeros(1), weights["slope"], np.zeros(1)
