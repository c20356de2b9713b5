"""Transposed convolution: for each row of the kernel one matrix product, whose results are added where they belong.

The input is taken a few rows at a time, so that a product is still in the cache when it is added.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

import numpy as np

from cnnrt.backend import Device, HostFunction, HostKernel, Packed
from cnnrt.layer import Array
from cnnrt.layer_call import LayerCall
from cnnrt_backend_sequential.cost_model import passes_seconds, product_seconds
from cnnrt_backend_sequential.rectifier import FOLDS, folded_slope, needs_scratch, rectify_in_place, rows_at_once
from cnnrt_backend_sequential.workspace import BLOCK_BYTES, Scratch
from cnnrt_layers.windows import Windows

if TYPE_CHECKING:
    from cnnrt_layers.deconvolution import Deconvolution


class SpreadRows(HostKernel):
    """Weights are packed as (kernel row, group, kernel column × output, input)."""

    layer = "Deconvolution"
    backend = "sequential"
    name = "spread"
    folds = FOLDS

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return the seconds of the products and of adding them."""
        channels, made, rows, columns = call.weights["weight"].shape
        group = cast("Deconvolution", call.layer).group
        images, _, height, width = call.inputs[0].shape
        product = product_seconds(columns * made, channels // group, height * width)
        values = columns * made * height * width
        return images * rows * group * (product + passes_seconds(values, 2, columns))

    def workspace(self, call: LayerCall) -> int:
        """Return the bytes of the products of some rows, and of what a leaky ReLU needs."""
        return _scratch(call).nbytes

    def pack(self, call: LayerCall, weights: Mapping[str, Array]) -> Packed:
        """Return the weights, and the bias or None."""
        channels, made, rows, columns = weights["weight"].shape
        group = cast("Deconvolution", call.layer).group
        stored = weights["weight"].reshape(group, channels // group, made, rows, columns)
        matrices = np.ascontiguousarray(stored.transpose(3, 0, 4, 2, 1)).reshape(rows, group, columns * made, -1)
        return (matrices, weights["bias"].copy()) if "bias" in weights else (matrices,)

    def bind(self, call: LayerCall) -> HostFunction:
        """Return the loops over images, rows of the input and rows of the kernel."""
        layer = cast("Deconvolution", call.layer)
        _, made, kernel_rows, kernel_columns = call.weights["weight"].shape
        group, width = layer.group, call.inputs[0].shape[3]
        along_rows, along_columns = layer.windows(call.inputs[0].shape, call.weights["weight"].shape)
        scratch, block = _scratch(call), _block_rows(call)
        blocks = [slice(start, start + block) for start in range(0, along_rows.count, block)]
        columns = [along_columns.overlap(s) for s in range(kernel_columns)]
        moves = [(rows, r, _within(along_rows, r, rows)) for rows in blocks for r in range(kernel_rows)]
        slope = folded_slope(call)

        def run(inputs: Sequence[Array], outputs: Sequence[Array], weights: Packed, workspace: Array) -> None:
            matrices, *bias = weights
            room, *spare = scratch.arrays(workspace)
            for image, output in zip(inputs[0], outputs[0], strict=True):
                output[...] = bias[0][:, np.newaxis, np.newaxis] if bias else 0
                sums = output.reshape(group, made, *output.shape[1:])
                values = image.reshape(group, -1, *image.shape[1:])
                for rows, r, (taken, places) in moves:
                    seen = values[:, :, rows]
                    count = seen.shape[2]
                    product = room[: group * kernel_columns * made * count * width]
                    product = product.reshape(group, kernel_columns * made, count * width)
                    np.matmul(matrices[r], seen.reshape(group, -1, count * width), out=product)
                    spread = product.reshape(group, kernel_columns, made, count, width)
                    for s, (taken_s, places_s) in enumerate(columns):
                        target = sums[:, :, places, places_s]
                        np.add(target, spread[:, s, :, taken, taken_s], out=target)
                rectify_in_place(output.reshape(len(output), -1), slope, spare[0] if spare else None)

        return run


def _within(along: Windows, position: int, rows: slice) -> tuple[slice, slice]:
    """Return which of some rows a kernel position spreads, counted from the first of them, and to which places."""
    taken, places = along.overlap(position)
    start, stop = max(taken.start, rows.start), min(taken.stop, rows.stop)
    if stop <= start:
        return slice(0, 0), slice(0, 0)
    first = places.start + (start - taken.start) * along.stride
    return slice(start - rows.start, stop - rows.start), slice(
        first, first + (stop - start - 1) * along.stride + 1, along.stride
    )


def _row_values(call: LayerCall) -> int:
    """Return the values of the product for one row of the input."""
    _, made, _, columns = call.weights["weight"].shape
    return cast("Deconvolution", call.layer).group * made * columns * call.inputs[0].shape[3]


def _block_rows(call: LayerCall) -> int:
    return max(1, min(call.inputs[0].shape[2], BLOCK_BYTES // max(1, 4 * _row_values(call))))


def _scratch(call: LayerCall) -> Scratch:
    made = Scratch()
    made.add((_block_rows(call) * _row_values(call),))
    if needs_scratch(folded_slope(call)):
        made.add(rows_at_once(call.outputs[0].shape[1], math.prod(call.outputs[0].shape[2:])))
    return made
