"""Layers with a few numbers for each channel: BatchNorm, Scale, PReLU. Channels lie side by side in vectors."""

from __future__ import annotations

import abc
import math
from collections.abc import Mapping, Sequence

import numpy as np

from cnnrt.backend import Device, Packed
from cnnrt.layer import Array
from cnnrt.layer_call import LayerCall
from cnnrt_backend_threaded.cost_model import pass_seconds
from cnnrt_backend_threaded.emitter import Code, Value
from cnnrt_backend_threaded.native_kernel import FOLDS, NativeKernel, apply_folded

UNIT = 4096
"""Values that a thread takes at a time, about."""


class ChannelKernel(NativeKernel):
    """Base: goes through the channels of one pixel after the other; `terms` are arrays of as many values."""

    name = "channels"
    folds = FOLDS
    arrays = 2

    def can_run(self, call: LayerCall, device: Device) -> bool | str:
        """Take images, and features of items."""
        return len(call.inputs[0].shape) in (2, 4) or "takes images, or items with features"

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return a pass over input and output."""
        return pass_seconds(self.machine, 2 * math.prod(call.outputs[0].shape))

    def units(self, call: LayerCall) -> int:
        """Return the pixels."""
        shape = call.inputs[0].shape
        return math.prod(shape) // shape[1] if shape[1] else 0

    def grain(self, call: LayerCall) -> int:
        """Return how many pixels make up a piece worth dealing out."""
        return max(1, UNIT // max(1, call.inputs[0].shape[1]))

    def packed_arrays(self, call: LayerCall) -> int:
        """Return how many terms there are."""
        return self.arrays

    def packed_bytes(self, call: LayerCall) -> int:
        """Return the bytes of the terms."""
        return 4 * self.arrays * call.inputs[0].shape[1]

    def packing(self, call: LayerCall) -> int:
        """Return the number of channels, which one weight may serve."""
        return call.inputs[0].shape[1]

    def pack(self, call: LayerCall, weights: Mapping[str, Array]) -> Packed:
        """Return the terms, each one value for each channel."""
        channels = call.inputs[0].shape[1]
        with np.errstate(all="ignore"):
            terms = self.terms(call, weights)
        return tuple(np.broadcast_to(np.asarray(t, np.float32).reshape(-1), channels).copy() for t in terms)

    @abc.abstractmethod
    def terms(self, call: LayerCall, weights: Mapping[str, Array]) -> Sequence[Array]:
        """Return the terms."""

    @abc.abstractmethod
    def apply(self, code: Code, x: Value, terms: Sequence[Value]) -> Value:
        """Return the results for a vector of channels."""

    def emit(self, call: LayerCall, code: Code) -> None:
        """Go through pixels, and in each through vectors of channels."""
        channels = call.inputs[0].shape[1]
        source, target = code.argument(0), code.argument(1)
        arrays = [code.argument(2 + i) for i in range(self.arrays)]
        whole = channels - channels % code.lanes
        with code.loop(code.first, code.last) as pixel:
            place = code.mul(pixel, channels)
            reading, writing = code.at(source, place), code.at(target, place)

            def vector(first: Value, count: int | None) -> None:
                terms = [code.load(array, first, count) for array in arrays]
                result = self.apply(code, code.load(reading, first, count), terms)
                code.store(apply_folded(call, code, result), writing, first, count)

            with code.loop(0, whole, code.lanes) as first:
                vector(first, None)
            if channels % code.lanes:
                vector(whole, channels % code.lanes)


class NormaliseStatistics(ChannelKernel):
    """BatchNorm: (x - mean) * factor + shift, in this order, which keeps digits where a large mean is subtracted."""

    layer = "BatchNorm"
    arrays = 3

    def terms(self, call: LayerCall, weights: Mapping[str, Array]) -> Sequence[Array]:
        """Return mean, factor and shift."""
        factor, _ = call.layer.affine_terms(weights)
        return weights["mean"], factor, weights.get("shift", np.zeros(1))

    def apply(self, code: Code, x: Value, terms: Sequence[Value]) -> Value:
        """Return the normalised values."""
        mean, factor, shift = terms
        return code.multiply_add(code.build.fsub(x, mean), factor, shift)


class ScaleChannels(ChannelKernel):
    """Scale of channels."""

    layer = "Scale"

    def can_run(self, call: LayerCall, device: Device) -> bool | str:
        """Take one factor and offset for each channel."""
        if not call.layer.is_affine(call.input_shapes, call.weight_shapes):
            return "takes one factor for each channel"
        return super().can_run(call, device)

    def terms(self, call: LayerCall, weights: Mapping[str, Array]) -> Sequence[Array]:
        """Return factors and offsets."""
        return call.layer.affine_terms(weights)

    def apply(self, code: Code, x: Value, terms: Sequence[Value]) -> Value:
        """Return the scaled values."""
        return code.multiply_add(x, terms[0], terms[1])


class RectifyChannels(ChannelKernel):
    """PReLU."""

    layer = "PReLU"
    arrays = 1

    def terms(self, call: LayerCall, weights: Mapping[str, Array]) -> Sequence[Array]:
        """Return the slopes."""
        return (weights["slope"],)

    def apply(self, code: Code, x: Value, terms: Sequence[Value]) -> Value:
        """Return the values, negative ones times their slope."""
        positive = code.build.fcmp_ordered(">", x, code.zero())
        return code.build.select(positive, x, code.build.fmul(x, terms[0]))
