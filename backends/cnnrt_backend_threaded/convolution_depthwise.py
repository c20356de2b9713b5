"""Depthwise convolution: each channel by a kernel of its own, channels side by side in vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cnnrt.backend import Device, Packed
from cnnrt.layer import Array
from cnnrt.layer_call import LayerCall
from cnnrt_backend_threaded.aligned import aligned_floats
from cnnrt_backend_threaded.cost_model import product_seconds
from cnnrt_backend_threaded.emitter import Code, Index, Value
from cnnrt_backend_threaded.native_kernel import (
    FOLDS_WITH_SUM,
    WritesPixels,
    adds_residual,
    apply_folded,
    pitch_of,
)
from cnnrt_backend_threaded.window_walk import Axis, channel_groups, meeting, over_positions
from cnnrt_layers.convolution_geometry import convolution_geometry


class DepthwiseConvolution(WritesPixels):
    """One input and one output channel in each group."""

    layer = "Convolution"
    name = "depthwise"
    folds = FOLDS_WITH_SUM

    def can_run(self, call: LayerCall, device: Device) -> bool | str:
        """Return True for one input and one output in a group."""
        g = convolution_geometry(call)
        if (g.group_inputs, g.group_outputs) != (1, 1):
            return f"a group has {g.group_inputs} inputs and {g.group_outputs} outputs, not one of each"
        return True

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return the seconds of its multiply-adds, each of which loads two vectors."""
        g = convolution_geometry(call)
        vectors = -(-g.outputs // self.machine.target.lanes)
        pixels = g.images * g.output_size[0] * g.output_size[1]
        return product_seconds(self.machine, 3.0 * pixels * vectors * g.depth, 0)

    def packed_arrays(self, call: LayerCall) -> int:
        """Return 2: weights and biases."""
        return 2

    def packed_bytes(self, call: LayerCall) -> int:
        """Return the bytes of whole vectors."""
        g = convolution_geometry(call)
        return 4 * self._padded(g.outputs) * (g.depth + 1)

    def pack(self, call: LayerCall, weights: Mapping[str, Array]) -> Packed:
        """Return weights [kernel row, kernel column, channel] and biases, filled up with zeros."""
        g = convolution_geometry(call)
        packed = aligned_floats((*g.kernel, self._padded(g.outputs)))
        biases = aligned_floats((self._padded(g.outputs),))
        packed[...], biases[...] = 0, 0
        packed[..., : g.outputs] = weights["weight"].reshape(g.outputs, *g.kernel).transpose(1, 2, 0)
        if "bias" in weights:
            biases[: g.outputs] = weights["bias"]
        return packed, biases

    def units(self, call: LayerCall) -> int:
        """Return the rows of all output images."""
        g = convolution_geometry(call)
        return g.images * g.output_size[0]

    def emit(self, call: LayerCall, code: Code) -> None:
        """Go through the windows of a row, and in each through the positions that meet the image."""
        g = convolution_geometry(call)
        height, width = g.output_size
        channels, padded = g.outputs, self._padded(g.outputs)
        rows, columns = (Axis(g.input_size[i], g.kernel[i], g.stride[i], g.before[i], g.dilation[i]) for i in (0, 1))
        images, *added, out, weights, biases = code.arguments(4 + adds_residual(call))
        with code.loop(code.first, code.last) as unit:
            image, i = code.split(unit, height)
            vertical = meeting(code, rows, i)
            source = code.at(images, code.mul(image, g.input_size[0] * g.input_size[1] * channels))
            with code.loop(0, width) as j:
                horizontal = meeting(code, columns, j)
                place = code.mul(code.add(code.mul(unit, width), j), pitch_of(call))
                target, *residuals = (code.at(image, place) for image in (out, *added))

                def group(first: Index, lanes: Sequence[int | None]) -> None:
                    def at(r: Index, s: Index, row: Index, column: Index, values: list[Value]) -> list[Value]:
                        pixel = code.mul(code.add(code.mul(row, g.input_size[1]), column), channels)
                        place = code.add(pixel, first)
                        tap = code.add(code.mul(code.add(code.mul(r, g.kernel[1]), s), padded), first)
                        results = []
                        for v, (value, count) in enumerate(zip(values, lanes, strict=True)):
                            seen = code.load(source, code.add(place, v * code.lanes), count)
                            weight = code.load(weights, code.add(tap, v * code.lanes), aligned=True)
                            results.append(code.multiply_add(seen, weight, value))
                        return results

                    start = [
                        code.load(biases, code.add(first, v * code.lanes), aligned=True) for v in range(len(lanes))
                    ]
                    values = over_positions(code, vertical, horizontal, g.dilation, start, at)
                    for v, (value, count) in enumerate(zip(values, lanes, strict=True)):
                        at_vector = code.add(first, v * code.lanes)
                        residual = [code.load(image, at_vector, count) for image in residuals]
                        code.store(apply_folded(call, code, value, *residual), target, at_vector, count)

                channel_groups(code, channels, group)

    def _padded(self, channels: int) -> int:
        lanes = self.machine.target.lanes
        return -(-channels // lanes) * lanes
