"""Normalize of the channels of each pixel, which lie side by side: SSD's conv4_3_norm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

import numpy as np

from cnnrt.backend import Device, Packed
from cnnrt.layer import Array
from cnnrt.layer_call import LayerCall
from cnnrt_backend_threaded.cost_model import pass_seconds
from cnnrt_backend_threaded.emitter import Code, Index, Value
from cnnrt_backend_threaded.native_kernel import NativeKernel

if TYPE_CHECKING:
    from cnnrt_layers.normalize import Normalize

UNIT = 4096
"""Values that a thread takes at a time, about."""


class NormalizePixels(NativeKernel):
    """Two passes over a pixel's channels: the sum, in float64, and the quotients."""

    layer = "Normalize"
    name = "pixels"

    def can_run(self, call: LayerCall, device: Device) -> bool | str:
        """Take the Euclidean length of, or the sum of sizes along, the channels of images."""
        layer = cast("Normalize", call.layer)
        if len(call.inputs[0].shape) != 4 or layer.axis % 4 != 1 or layer.across_spatial:
            return "takes the channels of images"
        return layer.p in (1, 2) or f"takes the norms of p 1 and 2, not {layer.p:g}"

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return some passes over the values."""
        return pass_seconds(self.machine, 4 * call.outputs[0].nbytes // 4)

    def units(self, call: LayerCall) -> int:
        """Return the pixels."""
        images, channels, height, width = call.inputs[0].shape
        return images * height * width if channels else 0

    def grain(self, call: LayerCall) -> int:
        """Return how many pixels make up a piece worth dealing out."""
        return max(1, UNIT // max(1, call.inputs[0].shape[1]))

    def packed_arrays(self, call: LayerCall) -> int:
        """Return 1: the factors."""
        return 1

    def packed_bytes(self, call: LayerCall) -> int:
        """Return the bytes of a factor for each channel."""
        return 4 * call.inputs[0].shape[1]

    def packing(self, call: LayerCall) -> int:
        """Return the number of channels, which one factor may serve."""
        return call.inputs[0].shape[1]

    def pack(self, call: LayerCall, weights: Mapping[str, Array]) -> Packed:
        """Return a factor for each channel."""
        scale = np.asarray(weights.get("scale", np.ones(1)), np.float32).reshape(-1)
        return (np.broadcast_to(scale, call.inputs[0].shape[1:2]).copy(),)

    def emit(self, call: LayerCall, code: Code) -> None:
        """Go through pixels."""
        layer = cast("Normalize", call.layer)
        channels = call.inputs[0].shape[1]
        source, target, scales = (code.argument(i) for i in range(3))
        whole, tail = channels - channels % code.lanes, channels % code.lanes
        build = code.build
        with code.loop(code.first, code.last) as pixel:
            place = code.mul(pixel, channels)
            reading, writing = code.at(source, place), code.at(target, place)

            def add(at: Index, sums: list[Value], count: int | None = None) -> list[Value]:
                size = code.doubled(code.absolute(code.load(reading, at, count)))
                return [build.fadd(sums[0], build.fmul(size, size) if layer.p == 2 else size)]

            sums = code.accumulate(0, whole, [code.double_constant(0.0)], add, code.lanes)
            if tail:
                sums = add(whole, sums, tail)
            norm = build.fadd(_everywhere(code, sums[0]), code.double_constant(layer.eps))
            norm = code.square_root(norm) if layer.p == 2 else norm
            one = code.double_constant(1.0)
            nothing = build.fcmp_ordered("==", norm, code.double_constant(0.0))
            factor = build.fdiv(one, build.select(nothing, one, norm))

            def divide(at: Index, count: int | None) -> None:
                values, scale = (code.doubled(code.load(p, at, count)) for p in (reading, scales))
                code.store(code.halved(build.fmul(build.fmul(values, factor), scale)), writing, at, count)

            with code.loop(0, whole, code.lanes) as at:
                divide(at, None)
            if tail:
                divide(whole, tail)


def _everywhere(code: Code, vector: Value) -> Value:
    """Return the sum of all lanes, in every lane."""
    width = code.lanes // 2
    while width:
        vector = code.build.fadd(vector, code.shuffle(vector, [lane ^ width for lane in range(code.lanes)]))
        width //= 2
    return vector
