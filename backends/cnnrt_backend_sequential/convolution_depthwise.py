"""Convolution of each channel by itself: multiply and add for each position of the kernel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs
import numpy as np

from cnnrt.backend import Device, HostFunction, HostKernel, Packed
from cnnrt.layer import Array
from cnnrt.layer_call import LayerCall
from cnnrt_backend_sequential.cost_model import RUN_SECONDS, passes_seconds
from cnnrt_backend_sequential.rectifier import FOLDS, folded_slope, rectify_in_place
from cnnrt_backend_sequential.workspace import BLOCK_BYTES, Scratch
from cnnrt_layers.convolution_geometry import ConvolutionGeometry, convolution_geometry
from cnnrt_layers.windows import Windows


class DepthwiseConvolution(HostKernel):
    """For groups of a single input channel, where matrix products would have a single row.

    Works on a block of channels, or of rows where a channel is large; the workspace holds one product of that size.
    """

    layer = "Convolution"
    backend = "sequential"
    name = "depthwise"
    folds = FOLDS

    def can_run(self, call: LayerCall, device: Device) -> bool | str:
        """Return True where each group has a single input channel."""
        g = convolution_geometry(call)
        return g.group_inputs == 1 or f"a group has {g.group_inputs} input channels, not 1"

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return the seconds for a product and a sum at each kernel position."""
        g = convolution_geometry(call)
        plan = _plan(g)
        blocks = g.images * g.group_outputs * -(-g.groups // plan.channels) * -(-g.output_size[0] // plan.rows)
        positions = g.kernel[0] * g.kernel[1]
        runs = plan.channels * plan.rows * RUN_SECONDS
        values = plan.channels * plan.rows * g.output_size[1]
        return blocks * positions * (2 * runs + passes_seconds(values, 3, 2))

    def parameters(self, call: LayerCall) -> Mapping[str, int | str]:
        """Return the channels and rows of a block."""
        plan = _plan(convolution_geometry(call))
        return {"channels": plan.channels, "rows": plan.rows}

    def workspace(self, call: LayerCall) -> int:
        """Return the bytes of one block."""
        g = convolution_geometry(call)
        return _scratch(g, _plan(g)).nbytes

    def pack(self, call: LayerCall, weights: Mapping[str, Array]) -> Packed:
        """Return (weights as (multiple, position, channel, 1, 1), bias as (multiple, channel, 1, 1) or None)."""
        g = convolution_geometry(call)
        by_channel = weights["weight"].reshape(g.groups, g.group_outputs, g.kernel[0] * g.kernel[1])
        bias = weights.get("bias")
        return (
            np.ascontiguousarray(by_channel.transpose(1, 2, 0), np.float32)[..., None, None],
            None if bias is None else bias.reshape(g.groups, g.group_outputs).T[..., None, None],
        )

    def bind(self, call: LayerCall) -> HostFunction:
        """Return the loop over images, multiples of the channels, blocks and kernel positions."""
        g = convolution_geometry(call)
        plan = _plan(g)
        slope = folded_slope(call)
        scratch = _scratch(g, plan)
        height, width = g.output_size
        bands = [_band(g, start, min(start + plan.rows, height)) for start in range(0, height, plan.rows)]
        blocks = [slice(start, min(start + plan.channels, g.groups)) for start in range(0, g.groups, plan.channels)]
        out_shape = (g.images, g.groups, g.group_outputs, height, width)

        def run(inputs: Sequence[Array], outputs: Sequence[Array], weights: Packed, workspace: Array) -> None:
            factors, bias = weights
            x, y = inputs[0], outputs[0].reshape(out_shape)
            (product,) = scratch.arrays(workspace)
            for image in range(g.images):
                for multiple in range(g.group_outputs):
                    for channels in blocks:
                        source = x[image, channels]
                        for band in bands:
                            out = y[image, channels, multiple, band.start : band.stop]
                            if bias is None:
                                out[...] = 0
                            else:
                                out[...] = bias[multiple, channels]
                            for position, pixels_read, place in band.taps:
                                factor = factors[multiple, position, channels]
                                read = source[pixels_read]
                                part = product[: read.shape[0], : read.shape[1], : read.shape[2]]
                                np.multiply(read, factor, out=part)
                                covered = out[place]
                                np.add(covered, part, out=covered)
                            rectify_in_place(out, slope, product[: out.shape[0], : out.shape[1]])

        return run


@attrs.frozen
class _Plan:
    """Channels and output rows of a block."""

    channels: int
    rows: int


def _plan(g: ConvolutionGeometry) -> _Plan:
    line = 4 * max(1, g.output_size[1])
    rows = max(1, min(g.output_size[0], BLOCK_BYTES // 4 // line))
    return _Plan(max(1, min(g.groups, BLOCK_BYTES // 4 // (line * rows))), rows)


def _scratch(g: ConvolutionGeometry, plan: _Plan) -> Scratch:
    scratch = Scratch()
    scratch.add((plan.channels, plan.rows, g.output_size[1]))
    return scratch


_Place = tuple[slice, slice, slice]


@attrs.frozen
class _Band:
    """Output rows `start` to `stop`; `taps`: kernel position, pixels read there, outputs that they go to."""

    start: int
    stop: int
    taps: tuple[tuple[int, _Place, _Place], ...]


def _band(g: ConvolutionGeometry, start: int, stop: int) -> _Band:
    above = g.before[0] - start * g.stride[0]
    down = Windows(g.input_size[0], g.kernel[0], g.stride[0], g.dilation[0], above, g.after[0], stop - start)
    across = Windows(
        g.input_size[1], g.kernel[1], g.stride[1], g.dilation[1], g.before[1], g.after[1], g.output_size[1]
    )
    taps = []
    for position, (row, column) in enumerate(np.ndindex(g.kernel)):
        (rows, image_rows), (columns, image_columns) = down.overlap(row), across.overlap(column)
        if rows.stop and columns.stop:
            taps.append((position, (slice(None), image_rows, image_columns), (slice(None), rows, columns)))
    return _Band(start, stop, tuple(taps))
