"""Layers with a few numbers for each channel, BatchNorm, Scale, PReLU: see `kernels/channels.rs`."""

from __future__ import annotations

import abc
import math
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from cnnrt.backend import Device, Packed
from cnnrt.layer import Array
from cnnrt.layer_call import LayerCall
from cnnrt_backend_renderscript.cost_model import pass_seconds
from cnnrt_backend_renderscript.program import Globals, Launch, input_of, output_of, weight_of
from cnnrt_backend_renderscript.script import Script
from cnnrt_backend_renderscript.script_kernel import FOLDS, ScriptKernel, activation, flat32


class ChannelKernel(ScriptKernel):
    """Base: `terms` are `arrays` arrays of one value for each channel; `kernel` is the function of channels.rs."""

    name = "channels"
    folds = FOLDS
    arrays: ClassVar[int] = 2
    kernel: ClassVar[str]

    def takes_call(self, call: LayerCall) -> bool | str:
        """Take images, and features of items."""
        return len(call.inputs[0].shape) in (2, 4) or "takes images, or items with features"

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return a pass over input and output."""
        return pass_seconds(2 * math.prod(call.outputs[0].shape))

    def packed_values(self, call: LayerCall) -> Sequence[int]:
        """Return the values of all terms."""
        return (self.arrays * call.inputs[0].shape[1],) if len(call.inputs[0].shape) > 1 else ()

    def packing(self, call: LayerCall) -> int:
        """Return the number of channels, which one weight may serve."""
        return call.inputs[0].shape[1]

    def pack(self, call: LayerCall, weights: Mapping[str, Array]) -> Packed:
        """Return the terms one after the other."""
        channels = call.inputs[0].shape[1]
        with np.errstate(all="ignore"):
            rows = [np.broadcast_to(np.asarray(t).reshape(-1), channels) for t in self.terms(call, weights)]
            return (flat32(np.concatenate(rows).astype(np.float32)),)

    @abc.abstractmethod
    def terms(self, call: LayerCall, weights: Mapping[str, Array]) -> Sequence[Array]:
        """Return the terms."""

    def launches(self, call: LayerCall) -> Sequence[Launch]:
        """Return one launch over all pixels."""
        total, channels = math.prod(call.inputs[0].shape), call.inputs[0].shape[1]
        globals_: Globals = {
            **activation(call),
            "values": input_of(),
            "terms": weight_of(),
            "out": output_of(),
            "channels": channels,
        }
        return (Launch(Script("channels"), self.kernel, globals_, total // channels),) if total else ()


class NormaliseStatistics(ChannelKernel):
    """BatchNorm."""

    layer = "BatchNorm"
    arrays = 3
    kernel = "normalise"

    def terms(self, call: LayerCall, weights: Mapping[str, Array]) -> Sequence[Array]:
        """Return mean, factor and shift."""
        factor, _ = call.layer.affine_terms(weights)
        return weights["mean"], factor, weights.get("shift", np.zeros(1))


class ScaleChannels(ChannelKernel):
    """Scale of channels."""

    layer = "Scale"
    kernel = "scale"

    def takes_call(self, call: LayerCall) -> bool | str:
        """Take one factor and offset for each channel."""
        if not call.layer.is_affine(call.input_shapes, call.weight_shapes):
            return "takes one factor for each channel"
        return super().takes_call(call)

    def terms(self, call: LayerCall, weights: Mapping[str, Array]) -> Sequence[Array]:
        """Return factors and offsets."""
        return call.layer.affine_terms(weights)


class RectifyChannels(ChannelKernel):
    """PReLU."""

    layer = "PReLU"
    arrays = 1
    kernel = "rectify"

    def terms(self, call: LayerCall, weights: Mapping[str, Array]) -> Sequence[Array]:
        """Return the slopes."""
        return (weights["slope"],)
