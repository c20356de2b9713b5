"""Images made larger or smaller in float32: rows, then columns, a few channels at a time.

Which pixels are weighed, and how, is what the layer's reference says.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import numpy as np

from cnnrt.backend import Device, HostFunction, HostKernel, Packed
from cnnrt.layer import Array
from cnnrt.layer_call import LayerCall
from cnnrt_backend_sequential.cost_model import passes_seconds
from cnnrt_backend_sequential.workspace import BLOCK_BYTES, Scratch

if TYPE_CHECKING:
    from cnnrt_layers.interp import Interp
    from cnnrt_layers.resampling import Taps
    from cnnrt_layers.resize import Resize


class Resample(HostKernel):
    """Base: the channels of a batch in blocks that stay in the cache."""

    backend = "sequential"
    name = "taps"

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return the passes over the values: three for each tap along either axis."""
        taps = max(1, call.cost.flops // max(1, 4 * math.prod(call.outputs[0].shape)))
        return passes_seconds(math.prod(call.outputs[0].shape), 6 * taps, 8)

    def workspace(self, call: LayerCall) -> int:
        """Return the bytes of a block between the axes, and of one product along either."""
        return _scratch(call).nbytes

    def bind(self, call: LayerCall) -> HostFunction:
        """Return the loop over blocks of channels."""
        taps = cast("Resize | Interp", call.layer).taps(call.input_shapes)
        rows, columns = _Along(taps[0], (-1, 1)), _Along(taps[1], (-1,))
        images, channels, height, width = call.inputs[0].shape
        out_shape = call.outputs[0].shape[2:]
        block, scratch = _block(call), _scratch(call)

        def run(inputs: Sequence[Array], outputs: Sequence[Array], weights: Packed, workspace: Array) -> None:
            between, product, other = scratch.arrays(workspace)
            source = inputs[0].reshape(images * channels, height, width)
            target = outputs[0].reshape(images * channels, *out_shape)
            for start in range(0, len(source), block):
                seen, made = source[start : start + block], target[start : start + block]
                count = len(seen)
                rows.apply(seen, between[:count], product[:count])
                columns.apply(between[:count], made, other[:count])

        return run


class _Along:
    """Taps along an axis, the last but one or the last, as `shape` tells: how their weights are broadcast."""

    def __init__(self, taps: Taps, shape: tuple[int, ...]) -> None:
        self._axis = -len(shape)
        self._places = list(taps.places)
        self._weights = [row.astype(np.float32).reshape(shape) for row in taps.weights]

    def apply(self, source: Array, out: Array, product: Array) -> None:
        """Write the weighed sums; a single tap is a copy."""
        np.take(source, self._places[0], axis=self._axis, out=out, mode="clip")
        if len(self._places) == 1:
            return
        np.multiply(out, self._weights[0], out=out)
        for places, weight in zip(self._places[1:], self._weights[1:], strict=True):
            np.take(source, places, axis=self._axis, out=product, mode="clip")
            np.multiply(product, weight, out=product)
            np.add(out, product, out=out)


def _block(call: LayerCall) -> int:
    """Return how many channels' images are taken at a time."""
    largest = max(math.prod(call.inputs[0].shape[2:]), math.prod(call.outputs[0].shape[2:]), 1)
    return max(1, min(BLOCK_BYTES // (8 * largest), math.prod(call.inputs[0].shape[:2])))


def _scratch(call: LayerCall) -> Scratch:
    width, (rows, columns) = call.inputs[0].shape[3], call.outputs[0].shape[2:]
    made = Scratch()
    for shape in ((rows, width), (rows, width), (rows, columns)):
        made.add((_block(call), *shape))
    return made


class ResizeImages(Resample):
    """Resize."""

    layer = "Resize"


class InterpolateImages(Resample):
    """Interp."""

    layer = "Interp"
