"""Depthwise transposed convolution, such as learnt or bilinear upsampling: channels side by side in vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cnnrt.backend import Device, Packed
from cnnrt.layer import Array
from cnnrt.layer_call import LayerCall
from cnnrt_backend_threaded.aligned import aligned_floats
from cnnrt_backend_threaded.cost_model import product_seconds
from cnnrt_backend_threaded.deconvolution_geometry import SpreadAxis, spread_geometry, strides_taken
from cnnrt_backend_threaded.emitter import Code, Index, Value
from cnnrt_backend_threaded.native_kernel import FOLDS, WritesPixels, apply_folded, pitch_of
from cnnrt_backend_threaded.window_walk import channel_groups


class DepthwiseDeconvolution(WritesPixels):
    """One input and one output channel in each group."""

    layer = "Deconvolution"
    name = "depthwise"
    folds = FOLDS

    def can_run(self, call: LayerCall, device: Device) -> bool | str:
        """Return True for one input and one output in a group."""
        g = spread_geometry(call)
        if (g.group_inputs, g.group_outputs) != (1, 1):
            return f"a group has {g.group_inputs} inputs and {g.group_outputs} outputs, not one of each"
        return strides_taken(call)

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return the seconds of its multiply-adds, each of which loads two vectors, and of finding the taps."""
        g = spread_geometry(call)
        vectors = -(-g.outputs // self.machine.target.lanes)
        pixels = g.images * g.rows.outputs * g.columns.outputs
        taps = g.positions / (g.rows.stride * g.columns.stride)
        return product_seconds(self.machine, pixels * (3.0 * vectors * taps + 40), 0)

    def packed_arrays(self, call: LayerCall) -> int:
        """Return 2: weights and biases."""
        return 2

    def packed_bytes(self, call: LayerCall) -> int:
        """Return the bytes of whole vectors."""
        g = spread_geometry(call)
        return 4 * self._padded(g.outputs) * (g.positions + 1)

    def pack(self, call: LayerCall, weights: Mapping[str, Array]) -> Packed:
        """Return weights [kernel row, kernel column, channel] and biases, filled up with zeros."""
        g = spread_geometry(call)
        kernel = (g.rows.kernel, g.columns.kernel)
        packed = aligned_floats((*kernel, self._padded(g.outputs)))
        biases = aligned_floats((self._padded(g.outputs),))
        packed[...], biases[...] = 0, 0
        packed[..., : g.outputs] = weights["weight"].reshape(g.outputs, *kernel).transpose(1, 2, 0)
        if "bias" in weights:
            biases[: g.outputs] = weights["bias"]
        return packed, biases

    def units(self, call: LayerCall) -> int:
        """Return the rows of all output images."""
        g = spread_geometry(call)
        return g.images * g.rows.outputs

    def emit(self, call: LayerCall, code: Code) -> None:
        """Go through the outputs of a row, and for each through the taps that meet the image."""
        g = spread_geometry(call)
        channels, padded = g.outputs, self._padded(g.outputs)
        images, out, weights, biases = (code.argument(i) for i in range(4))
        with code.loop(code.first, code.last) as unit:
            image, i = code.split(unit, g.rows.outputs)
            source = code.at(images, code.mul(image, g.rows.inputs * g.columns.inputs * channels))
            row, row_tap, rows = _taps(code, g.rows, i)
            with code.loop(0, g.columns.outputs) as j:
                column, column_tap, columns = _taps(code, g.columns, j)
                target = code.at(out, code.mul(code.add(code.mul(unit, g.columns.outputs), j), pitch_of(call)))

                def group(first: Index, lanes: Sequence[int | None]) -> None:
                    def at_row(r: Index, sums: list[Value]) -> list[Value]:
                        line = code.mul(code.sub(row, code.mul(r, g.rows.lag_step)), g.columns.inputs)
                        tap_row = code.mul(code.add(row_tap, code.mul(r, g.rows.tap_step)), g.columns.kernel)

                        def at(s: Index, values: list[Value]) -> list[Value]:
                            pixel = code.add(line, code.sub(column, code.mul(s, g.columns.lag_step)))
                            tap = code.add(tap_row, code.add(column_tap, code.mul(s, g.columns.tap_step)))
                            place, weight = (
                                code.add(code.mul(number, size), first)
                                for number, size in ((pixel, channels), (tap, padded))
                            )
                            results = []
                            for v, (value, count) in enumerate(zip(values, lanes, strict=True)):
                                seen = code.load(source, code.add(place, v * code.lanes), count)
                                own = code.load(weights, code.add(weight, v * code.lanes), aligned=True)
                                results.append(code.multiply_add(seen, own, value))
                            return results

                        return code.accumulate(*columns, sums, at)

                    start = [
                        code.load(biases, code.add(first, v * code.lanes), aligned=True) for v in range(len(lanes))
                    ]
                    values = code.accumulate(*rows, start, at_row)
                    for v, (value, count) in enumerate(zip(values, lanes, strict=True)):
                        code.store(apply_folded(call, code, value), target, code.add(first, v * code.lanes), count)

                channel_groups(code, channels, group)

    def _padded(self, channels: int) -> int:
        lanes = self.machine.target.lanes
        return -(-channels // lanes) * lanes


def _taps(code: Code, axis: SpreadAxis, place: Index) -> tuple[Index, Index, tuple[Index, Index]]:
    """Return, for an output, the input at its first tap, that tap, and the range of taps that meet the image."""
    phases = [axis.phase(number) for number in range(axis.stride)]
    q, number = code.split(code.add(place, axis.before), axis.stride)
    tap, lag, taps = (
        code.load_index(code.index_table([getattr(phase, name) for phase in phases]), number)
        for name in ("tap", "lag", "taps")
    )
    at = code.sub(q, lag)
    step = axis.lag_step
    # Tap t meets input at - t * step; the first may lie behind the last input, the last ones before the first.
    beyond = code.larger(code.sub(at, axis.inputs - 1), 0)
    first = code.divide(code.add(beyond, step - 1), step)
    last = code.smaller(code.divide(code.larger(code.add(at, step), 0), step), taps)
    return at, tap, (first, last)
