"""Local response normalisation: x / (k + a * S) ** beta, where S sums up squares of neighbours.

The power is made of square roots: base ** 0.25 is the root of the root, and the exponents of published networks, 0.75
among them, are multiples of that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from cnnrt.backend import Device
from cnnrt.layer_call import LayerCall
from cnnrt_backend_threaded.cost_model import pass_seconds
from cnnrt_backend_threaded.emitter import Code, Index, Value
from cnnrt_backend_threaded.native_kernel import NativeKernel
from cnnrt_backend_threaded.window_walk import Axis, channel_groups, meeting, over_positions

if TYPE_CHECKING:
    from cnnrt_layers.lrn import LRN

MOST_QUARTERS = 16
"""Of the exponent: 4 is far beyond what any network uses."""


class _Normalise(NativeKernel):
    """What both regions share."""

    layer = "LRN"
    region = ""

    def can_run(self, call: LayerCall, device: Device) -> bool | str:
        """Return True for this region and an exponent of whole quarters."""
        layer = cast("LRN", call.layer)
        if layer.norm_region != self.region:
            return f"the region is {layer.norm_region}"
        if not (0 <= layer.beta * 4 <= MOST_QUARTERS and layer.beta * 4 == int(layer.beta * 4)):
            return f"beta {layer.beta:g} is not one of 0, 0.25, 0.5 up to {MOST_QUARTERS / 4:g}"
        return True


class NormaliseChannels(_Normalise):
    """Across channels: neighbours lie side by side, so shifted vectors are loaded again."""

    name = "channels"
    region = "across_channels"

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return some passes over the values."""
        return pass_seconds(self.machine, 4 * math.prod(call.inputs[0].shape))

    def units(self, call: LayerCall) -> int:
        """Return the rows of all images."""
        images, channels, height, width = call.inputs[0].shape
        return images * height if channels and width else 0

    def emit(self, call: LayerCall, code: Code) -> None:
        """Go through the pixels: first the vectors whose neighbours are all there, then those at the ends."""
        layer = cast("LRN", call.layer)
        _, channels, _, width = call.inputs[0].shape
        half = min(layer.local_size // 2, channels - 1)
        lanes = code.lanes
        vectors = -(-channels // lanes)
        images, out = code.argument(0), code.argument(1)
        inner_first = -(-half // lanes)
        inner_last = max(inner_first, (channels - half) // lanes)

        def normalise(pixel: Index, vector: Index, whole: bool) -> None:
            first = code.mul(vector, lanes)
            count = None if whole else min(lanes, channels - cast(int, first))
            middle = code.load(images, code.add(pixel, first), count)
            total = code.build.fmul(middle, middle)
            for shift in [s for distance in range(1, half + 1) for s in (-distance, distance)]:
                place = code.add(pixel, code.add(first, shift))
                if whole:
                    neighbour = code.load(images, place)
                else:
                    start = cast(int, first) + shift
                    there = range(max(0, -start), max(0, min(lanes, channels - start)))
                    neighbour = code.load_lanes(images, place, there)
                total = code.multiply_add(neighbour, neighbour, total)
            result = _normalised(code, layer, middle, total, layer.k, layer.local_size)
            code.store(result, out, code.add(pixel, first), count)

        with code.loop(code.mul(code.first, width), code.mul(code.last, width)) as number:
            pixel = code.mul(number, channels)
            if inner_last > inner_first:
                with code.loop(inner_first, inner_last) as vector:
                    normalise(pixel, vector, whole=True)
            for vector in (*range(min(inner_first, vectors)), *range(inner_last, vectors)):
                normalise(pixel, vector, whole=False)


class NormaliseWindows(_Normalise):
    """Within a channel: a square of pixels, channels side by side in vectors."""

    name = "windows"
    region = "within_channel"

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return a pass for each position of the window, in the cache."""
        layer = cast("LRN", call.layer)
        return pass_seconds(self.machine, (2 + layer.local_size**2 // 4) * math.prod(call.inputs[0].shape))

    def units(self, call: LayerCall) -> int:
        """Return the rows of all images."""
        images, channels, height, width = call.inputs[0].shape
        return images * height if channels and width else 0

    def emit(self, call: LayerCall, code: Code) -> None:
        """Go through the windows around the pixels of a row, and in each through its positions."""
        layer = cast("LRN", call.layer)
        _, channels, height, width = call.inputs[0].shape
        rows, columns = (Axis(size, layer.local_size, 1, layer.local_size // 2) for size in (height, width))
        images, out = code.argument(0), code.argument(1)
        with code.loop(code.first, code.last) as unit:
            image, i = code.split(unit, height)
            vertical = meeting(code, rows, i)
            source = code.at(images, code.mul(image, height * width * channels))
            with code.loop(0, width) as j:
                horizontal = meeting(code, columns, j)
                own = code.mul(code.add(code.mul(unit, width), j), channels)

                def group(first: Index, lanes: Sequence[int | None]) -> None:
                    def at(r: Index, s: Index, row: Index, column: Index, values: list[Value]) -> list[Value]:
                        place = code.add(code.mul(code.add(code.mul(row, width), column), channels), first)
                        found = [code.load(source, code.add(place, v * code.lanes), n) for v, n in enumerate(lanes)]
                        return [code.multiply_add(x, x, value) for x, value in zip(found, values, strict=True)]

                    sums = over_positions(code, vertical, horizontal, (1, 1), [code.zero()] * len(lanes), at)
                    for v, (total, count) in enumerate(zip(sums, lanes, strict=True)):
                        place = code.add(own, code.add(first, v * code.lanes))
                        middle = code.load(images, place, count)
                        result = _normalised(code, layer, middle, total, 1.0, layer.local_size**2)
                        code.store(result, out, place, count)

                channel_groups(code, channels, group)


def _normalised(code: Code, layer: LRN, x: Value, total: Value, constant: float, size: int) -> Value:
    """Return x / (constant + alpha / size * total) ** beta."""
    base = code.multiply_add(code.constant(layer.alpha / size), total, code.constant(constant))
    quarters = int(layer.beta * 4)
    factors = [base] * (quarters // 4)
    if quarters % 4:
        root = code.square_root(base)
        factors += [root] if quarters % 4 >= 2 else []
        factors += [code.square_root(root)] if quarters % 2 else []
    if not factors:
        return x
    divisor = factors[0]
    for factor in factors[1:]:
        divisor = code.build.fmul(divisor, factor)
    return code.build.fdiv(x, divisor)
