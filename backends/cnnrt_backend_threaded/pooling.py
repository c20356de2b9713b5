"""Pooling: the windows of one row of outputs after the other, channels side by side in vectors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from cnnrt.backend import Device
from cnnrt.layer_call import LayerCall
from cnnrt_backend_threaded.cost_model import pass_seconds
from cnnrt_backend_threaded.emitter import Code, Index, Value
from cnnrt_backend_threaded.native_kernel import WritesPixels, apply_folded, pitch_of
from cnnrt_backend_threaded.window_walk import Axis, channel_groups, meeting, over_positions

if TYPE_CHECKING:
    from cnnrt_layers.pooling import Pooling


MOST_PLACES = 2**24
"""Whole numbers up to here are float32 values."""


class WindowPooling(WritesPixels):
    """Maximum, its place, mean, or norm; a window is clipped to the image before it is walked through."""

    layer = "Pooling"
    name = "windows"
    folds = ("ReLU",)

    def can_run(self, call: LayerCall, device: Device) -> bool | str:
        """Decline norms that need a power, and images whose places float32 cannot number."""
        layer = cast("Pooling", call.layer)
        if layer.pool == "lp" and layer.p not in (1, 2):
            return f"gives the norms of p 1 and 2, not {layer.p:g}"
        if layer.mask and math.prod(call.inputs[0].shape[2:]) > MOST_PLACES:
            return f"numbers up to {MOST_PLACES} pixels"
        return True

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return a pass over the values of all windows."""
        return pass_seconds(self.machine, call.cost.flops // 4 + math.prod(call.inputs[0].shape))

    def units(self, call: LayerCall) -> int:
        """Return the rows of all output images."""
        images, channels, height, width = call.outputs[0].shape
        return images * height if channels and width else 0

    def emit(self, call: LayerCall, code: Code) -> None:
        """Go through the windows of a row, and in each through its positions."""
        layer = cast("Pooling", call.layer)
        _, channels, height, width = call.outputs[0].shape
        _, _, image_height, image_width = call.inputs[0].shape
        rows, columns = layer.windows(call.inputs[0].shape)
        along_rows, along_columns = (
            Axis(along.size, along.kernel, along.stride, along.before, along.dilation) for along in (rows, columns)
        )
        images, *outs = (code.argument(i) for i in range(1 + len(call.outputs)))
        kind = _KINDS["places" if layer.mask else layer.pool]
        if layer.pool == "mean":
            row_divisors, column_divisors = code.table(layer.divisors(rows)), code.table(layer.divisors(columns))

        with code.loop(code.first, code.last) as unit:
            image, i = code.split(unit, height)
            vertical = meeting(code, along_rows, i)
            source = code.at(images, code.mul(image, image_height * image_width * channels))
            with code.loop(0, width) as j:
                horizontal = meeting(code, along_columns, j)
                pixel = code.mul(code.add(code.mul(unit, width), j), pitch_of(call))
                targets = [code.at(out, pixel) for out in outs]

                def group(first: Index, lanes: Sequence[int | None]) -> None:
                    def at(r: Index, s: Index, row: Index, column: Index, values: list[Value]) -> list[Value]:
                        number = code.add(code.mul(row, image_width), column)
                        place = code.add(code.mul(number, channels), first)
                        found = [code.load(source, code.add(place, v * code.lanes), n) for v, n in enumerate(lanes)]
                        return kind.add(code, layer.p, values, found, number)

                    start = kind.start(code, len(lanes))
                    sums = over_positions(code, vertical, horizontal, layer.dilation, start, at)
                    results = kind.results(code, layer.p, sums)
                    if layer.pool == "mean":
                        area = code.build.fmul(code.load_value(row_divisors, i), code.load_value(column_divisors, j))
                        divisor = code.splat(area)
                        results = [code.build.fdiv(value, divisor) for value in results]
                    for target, values in zip(targets, (results, sums[len(lanes) :]), strict=False):
                        for v, (value, count) in enumerate(zip(values, lanes, strict=True)):
                            place = code.add(first, v * code.lanes)
                            code.store(apply_folded(call, code, value), target, place, count)

                channel_groups(code, channels, group)


class _Maximum:
    """What is kept of a window: at first, with the values of one more position, and in the end."""

    def start(self, code: Code, vectors: int) -> list[Value]:
        return [code.constant(-math.inf)] * vectors

    def add(self, code: Code, p: float, values: list[Value], found: list[Value], number: Index) -> list[Value]:
        return [code.maximum(a, b) for a, b in zip(values, found, strict=True)]

    def results(self, code: Code, p: float, values: list[Value]) -> list[Value]:
        return values


class _Place(_Maximum):
    """Maxima, and behind them their places; what is not a number is larger than nothing."""

    def start(self, code: Code, vectors: int) -> list[Value]:
        return super().start(code, vectors) + [code.zero()] * vectors

    def add(self, code: Code, p: float, values: list[Value], found: list[Value], number: Index) -> list[Value]:
        own = code.splat(code.float_of(number))
        maxima, places = values[: len(found)], values[len(found) :]
        larger = [code.build.fcmp_ordered(">", b, a) for a, b in zip(maxima, found, strict=True)]
        maxima = [code.build.select(*each) for each in zip(larger, found, maxima, strict=True)]
        return maxima + [code.build.select(where, own, place) for where, place in zip(larger, places, strict=True)]

    def results(self, code: Code, p: float, values: list[Value]) -> list[Value]:
        return values[: len(values) // 2]


class _Sum(_Maximum):
    """The sum, for a mean."""

    def start(self, code: Code, vectors: int) -> list[Value]:
        return [code.zero()] * vectors

    def add(self, code: Code, p: float, values: list[Value], found: list[Value], number: Index) -> list[Value]:
        return [code.build.fadd(a, b) for a, b in zip(values, found, strict=True)]


class _Norm(_Maximum):
    """The sum of sizes or squares in float64, where no square is too large or too small."""

    def start(self, code: Code, vectors: int) -> list[Value]:
        return [code.double_constant(0.0)] * vectors

    def add(self, code: Code, p: float, values: list[Value], found: list[Value], number: Index) -> list[Value]:
        sizes = [code.doubled(code.absolute(value)) for value in found]
        terms = sizes if p == 1 else [code.build.fmul(size, size) for size in sizes]
        return [code.build.fadd(a, b) for a, b in zip(values, terms, strict=True)]

    def results(self, code: Code, p: float, values: list[Value]) -> list[Value]:
        return [code.halved(value if p == 1 else code.square_root(value)) for value in values]


_KINDS = {"max": _Maximum(), "places": _Place(), "mean": _Sum(), "lp": _Norm()}
