"""Images made larger or smaller: for each pixel of the output some of the input's, weighed; channels in vectors.

Which pixels, and their weights, are tables that travel with the code; they are those that the layer's reference uses.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from cnnrt.backend import Device
from cnnrt.layer_call import LayerCall
from cnnrt_backend_threaded.cost_model import pass_seconds
from cnnrt_backend_threaded.emitter import Code, Index, Value
from cnnrt_backend_threaded.native_kernel import WritesPixels, pitch_of
from cnnrt_backend_threaded.window_walk import channel_groups

if TYPE_CHECKING:
    from cnnrt_layers.interp import Interp
    from cnnrt_layers.resampling import Taps
    from cnnrt_layers.resize import Resize

UNIT = 4096
"""Values that a thread takes at a time, about."""
MOST_PIXELS = 2**16
"""Of a side of the output: so long are the tables."""


class Resample(WritesPixels):
    """Base: one row of outputs after the other."""

    name = "taps"

    def can_run(self, call: LayerCall, device: Device) -> bool | str:
        """Decline images too long for tables."""
        longest = max(call.outputs[0].shape[2:])
        return longest <= MOST_PIXELS or f"makes up to {MOST_PIXELS} rows and columns, not {longest}"

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return a pass over the input, and one over the output for each value that is weighed."""
        taps = max(1, call.cost.flops // max(1, 2 * math.prod(call.outputs[0].shape)))
        values = math.prod(call.inputs[0].shape) + (1 + taps) * math.prod(call.outputs[0].shape)
        return pass_seconds(self.machine, values)

    def units(self, call: LayerCall) -> int:
        """Return the rows of all output images."""
        images, channels, height, _ = call.outputs[0].shape
        return images * height if channels else 0

    def grain(self, call: LayerCall) -> int:
        """Return how many rows make up a piece worth dealing out."""
        _, channels, _, width = call.outputs[0].shape
        return max(1, UNIT // max(1, channels * width))

    def emit(self, call: LayerCall, code: Code) -> None:
        """Go through the pixels of a row."""
        _, channels, height, width = call.outputs[0].shape
        _, _, image_height, image_width = call.inputs[0].shape
        along = cast("Resize | Interp", call.layer).taps(call.input_shapes)
        rows, columns = (_Tables(code, taps) for taps in along)
        images, out = code.argument(0), code.argument(len(call.inputs))
        with code.loop(code.first, code.last) as unit:
            image, i = code.split(unit, height)
            first_row = code.mul(image, image_height)
            lines = [
                code.at(images, code.mul(code.add(first_row, place), image_width * channels)) for place in rows.at(i)
            ]
            row_weights = rows.weights(i)
            with code.loop(0, width) as j:
                pixels = [code.mul(place, channels) for place in columns.at(j)]
                column_weights = columns.weights(j)
                target = code.at(out, code.mul(code.add(code.mul(unit, width), j), pitch_of(call)))

                def group(first: Index, lanes: Sequence[int | None]) -> None:
                    for v, count in enumerate(lanes):
                        own = code.add(first, v * code.lanes)
                        sums = [
                            _weighed(code, [code.load(line, code.add(p, own), count) for p in pixels], column_weights)
                            for line in lines
                        ]
                        code.store(_weighed(code, sums, row_weights), target, own, count)

                channel_groups(code, channels, group)


class _Tables:
    """Taps along an axis as tables in the code. A single tap, a copy, has no weights."""

    def __init__(self, code: Code, taps: Taps) -> None:
        self._code = code
        self._places = [code.index_table([int(place) for place in row]) for row in taps.places]
        self._weights = [code.table(row) for row in taps.weights] if len(taps.weights) > 1 else []

    def at(self, place: Index) -> list[Index]:
        return [self._code.load_index(table, place) for table in self._places]

    def weights(self, place: Index) -> list[Value]:
        return [self._code.broadcast(table, place) for table in self._weights]


def _weighed(code: Code, values: Sequence[Value], weights: Sequence[Value]) -> Value:
    """Return the sum of the values times their weights; without weights, the only value."""
    if not weights:
        return values[0]
    result = code.build.fmul(values[0], weights[0])
    for value, weight in zip(values[1:], weights[1:], strict=True):
        result = code.multiply_add(value, weight, result)
    return result


class ResizeImages(Resample):
    """Resize."""

    layer = "Resize"


class InterpolateImages(Resample):
    """Interp."""

    layer = "Interp"
