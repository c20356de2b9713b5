"""Layers that gather numbers from the whole of each channel's image: normalisation by mean and variance, reductions.

A unit is some vectors of channels of one image; sums are taken in float64, so that long ones keep their digits.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, cast

import numpy as np

from cnnrt.backend import Device, Packed
from cnnrt.layer import Array
from cnnrt.layer_call import LayerCall
from cnnrt_backend_threaded.aligned import aligned_floats
from cnnrt_backend_threaded.cost_model import pass_seconds
from cnnrt_backend_threaded.emitter import Code, Index, Value
from cnnrt_backend_threaded.native_kernel import NativeKernel

if TYPE_CHECKING:
    from cnnrt_layers.instance_norm import InstanceNorm
    from cnnrt_layers.mvn import MVN
    from cnnrt_layers.reduction import Reduction

MOST_VECTORS = 4
"""Of a unit: enough for their latencies to overlap."""
UNITS_PER_THREAD = 2
"""At least so many, if there are vectors enough."""


class ImageKernel(NativeKernel):
    """Base: `emit_block` writes code for a few vectors of channels of one image."""

    def can_run(self, call: LayerCall, device: Device) -> bool | str:
        """Take images."""
        return len(call.inputs[0].shape) == 4 or "takes images"

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return some passes over the values."""
        return pass_seconds(self.machine, 4 * math.prod(call.inputs[0].shape))

    def units(self, call: LayerCall) -> int:
        """Return images × blocks of vectors."""
        images, channels, _, _ = call.inputs[0].shape
        vectors = -(-channels // self.machine.target.lanes)
        return images * -(-vectors // self._vectors(call)) if channels else 0

    def emit(self, call: LayerCall, code: Code) -> None:
        """Compute one block after the other."""
        channels = call.inputs[0].shape[1]
        own = self._vectors(call)
        whole, tail = divmod(channels, code.lanes)
        vectors: list[int | None] = [None] * whole + ([tail] if tail else [])
        blocks = -(-len(vectors) // own)
        with code.loop(code.first, code.last) as unit:
            image, block = code.split(unit, blocks)
            first = code.mul(block, own * code.lanes)
            last = vectors[(blocks - 1) * own :]
            if last == [None] * own:
                self.emit_block(call, code, image, first, last)
            elif blocks == 1:
                self.emit_block(call, code, image, 0, last)
            else:
                code.choose(
                    code.less(block, blocks - 1),
                    lambda: self.emit_block(call, code, image, first, [None] * own),
                    lambda: self.emit_block(call, code, image, first, last),
                )

    @abc.abstractmethod
    def emit_block(self, call: LayerCall, code: Code, image: Index, first: Index, lanes: Sequence[int | None]) -> None:
        """Write code for the channels from `first` on; `lanes` of each vector, None: all."""

    def _vectors(self, call: LayerCall) -> int:
        """Return the vectors of a block."""
        images, channels, _, _ = call.inputs[0].shape
        vectors = -(-channels // self.machine.target.lanes)
        return max(1, min(MOST_VECTORS, images * vectors // (UNITS_PER_THREAD * self.machine.cores), vectors))


def over_pixels(
    call: LayerCall,
    code: Code,
    places: tuple[Value, Index],
    lanes: Sequence[int | None],
    start: Sequence[Value],
    body: Callable[[list[Value], list[Value]], list[Value]],
) -> list[Value]:
    """Carry values through `body(vectors of a pixel, values)`; `places`: the image and its first channel."""
    _, channels, height, width = call.inputs[0].shape
    source, first = places

    def at(pixel: Index, values: list[Value]) -> list[Value]:
        place = code.add(code.mul(pixel, channels), first)
        seen = [code.load(source, code.add(place, v * code.lanes), count) for v, count in enumerate(lanes)]
        return body(seen, values)

    return code.accumulate(0, height * width, start, at)


class NormaliseImages(ImageKernel):
    """Base: three passes over the channels of an image: sums, sums of squared differences, results."""

    name = "images"

    @abc.abstractmethod
    def factor(self, call: LayerCall, code: Code, variance: Value) -> Value | None:
        """Return the factor of differences from the mean, given the variance, both float64; None: 1."""

    def packed_arrays(self, call: LayerCall) -> int:
        """Return 2: scales and biases."""
        return 2

    def packed_bytes(self, call: LayerCall) -> int:
        """Return the bytes of whole vectors."""
        return 8 * self._padded(call)

    def packing(self, call: LayerCall) -> int:
        """Return the number of channels: the weights may be absent."""
        return call.inputs[0].shape[1]

    def pack(self, call: LayerCall, weights: Mapping[str, Array]) -> Packed:
        """Return scales and biases of each channel, filled up with zeros."""
        channels = call.inputs[0].shape[1]
        packed = []
        for name, absent in (("scale", 1.0), ("bias", 0.0)):
            terms = aligned_floats((self._padded(call),))
            terms[...] = 0
            terms[:channels] = weights.get(name, np.float32(absent))
            packed.append(terms)
        return tuple(packed)

    def emit_block(self, call: LayerCall, code: Code, image: Index, first: Index, lanes: Sequence[int | None]) -> None:
        """Go over the image three times."""
        _, channels, height, width = call.inputs[0].shape
        count = height * width
        offset = code.mul(image, count * channels)
        source, target = (code.at(code.argument(i), offset) for i in (0, 1))
        scales, biases = (code.at(code.argument(i), first) for i in (2, 3))
        build, vectors = code.build, range(len(lanes))
        zero = [code.double_constant(0.0)] * len(lanes)
        share = code.double_constant(1 / count)

        def add(seen: list[Value], sums: list[Value]) -> list[Value]:
            return [build.fadd(a, code.doubled(x)) for x, a in zip(seen, sums, strict=True)]

        means = [build.fmul(total, share) for total in over_pixels(call, code, (source, first), lanes, zero, add)]

        def add_squares(seen: list[Value], sums: list[Value]) -> list[Value]:
            apart = [build.fsub(code.doubled(x), mean) for x, mean in zip(seen, means, strict=True)]
            return [build.fadd(a, build.fmul(d, d)) for d, a in zip(apart, sums, strict=True)]

        squares = over_pixels(call, code, (source, first), lanes, zero, add_squares)
        factors = []
        for v in vectors:
            scale = code.doubled(code.load(scales, v * code.lanes, aligned=True))
            own = self.factor(call, code, build.fmul(squares[v], share))
            factors.append(scale if own is None else build.fmul(scale, own))
        offsets = [code.doubled(code.load(biases, v * code.lanes, aligned=True)) for v in vectors]
        with code.loop(0, count) as pixel:
            place = code.add(code.mul(pixel, channels), first)
            for v, lane_count in enumerate(lanes):
                own_place = code.add(place, v * code.lanes)
                apart = build.fsub(code.doubled(code.load(source, own_place, lane_count)), means[v])
                result = build.fadd(build.fmul(apart, factors[v]), offsets[v])
                code.store(code.halved(result), target, own_place, lane_count)

    def _padded(self, call: LayerCall) -> int:
        lanes = self.machine.target.lanes
        return -(-call.inputs[0].shape[1] // lanes) * lanes


class NormaliseInstances(NormaliseImages):
    """InstanceNorm."""

    layer = "InstanceNorm"

    def factor(self, call: LayerCall, code: Code, variance: Value) -> Value | None:
        """Return 1 / sqrt(variance + epsilon)."""
        epsilon = code.double_constant(cast("InstanceNorm", call.layer).epsilon)
        return code.build.fdiv(code.double_constant(1.0), code.square_root(code.build.fadd(variance, epsilon)))


class NormaliseMeanAndVariance(NormaliseImages):
    """MVN of each channel by itself."""

    layer = "MVN"

    def can_run(self, call: LayerCall, device: Device) -> bool | str:
        """Decline all channels together."""
        if cast("MVN", call.layer).across_channels:
            return "takes each channel by itself"
        return super().can_run(call, device)

    def factor(self, call: LayerCall, code: Code, variance: Value) -> Value | None:
        """Return 1 / (sqrt(variance) + eps), if that is asked for."""
        layer = cast("MVN", call.layer)
        if not layer.normalize_variance:
            return None
        deviation = code.build.fadd(code.square_root(variance), code.double_constant(layer.eps))
        return code.build.fdiv(code.double_constant(1.0), deviation)


class ReduceImages(ImageKernel):
    """Reduction of each channel of an image to one number."""

    layer = "Reduction"
    name = "images"

    def can_run(self, call: LayerCall, device: Device) -> bool | str:
        """Take sums of values, sizes or squares, and extremes, over rows and columns."""
        layer = cast("Reduction", call.layer)
        if layer.operation not in _OPERATIONS:
            return f"combines by {', '.join(_OPERATIONS)}, not by {layer.operation}"
        shape = call.inputs[0].shape
        rows_and_columns = len(shape) == 4 and sorted(layer.along(shape)) == [2, 3]
        return rows_and_columns or "combines the rows and columns of images"

    def emit_block(self, call: LayerCall, code: Code, image: Index, first: Index, lanes: Sequence[int | None]) -> None:
        """Go over the image once."""
        layer = cast("Reduction", call.layer)
        _, channels, height, width = call.inputs[0].shape
        source = code.at(code.argument(0), code.mul(image, height * width * channels))
        target = code.at(code.argument(1), code.add(code.mul(image, channels), first))
        build, operation = code.build, layer.operation
        extreme = {"max": code.maximum, "min": code.minimum}.get(operation)

        def add(seen: list[Value], values: list[Value]) -> list[Value]:
            if extreme:
                return [extreme(a, x) for x, a in zip(seen, values, strict=True)]
            wide = [code.doubled(code.absolute(x) if operation == "l1" else x) for x in seen]
            terms = [build.fmul(x, x) for x in wide] if operation in ("l2", "sum_square") else wide
            return [build.fadd(a, x) for x, a in zip(terms, values, strict=True)]

        start = code.constant(-math.inf if operation == "max" else math.inf) if extreme else code.double_constant(0.0)
        results = over_pixels(call, code, (source, first), lanes, [start] * len(lanes), add)
        for v, (result, count) in enumerate(zip(results, lanes, strict=True)):
            wide = code.doubled(result) if extreme else result
            if operation == "l2":
                wide = code.square_root(wide)
            factor = layer.coeff / (height * width if operation == "mean" else 1)
            code.store(code.halved(build.fmul(wide, code.double_constant(factor))), target, v * code.lanes, count)


_OPERATIONS = ("sum", "mean", "max", "min", "l1", "l2", "sum_square")
