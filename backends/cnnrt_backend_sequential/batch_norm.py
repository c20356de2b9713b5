"""Batch normalisation that was not folded into the weights of the layer before it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from cnnrt.backend import Device, HostFunction, HostKernel, Packed
from cnnrt.layer import Array
from cnnrt.layer_call import LayerCall
from cnnrt_backend_sequential.cost_model import passes_seconds
from cnnrt_backend_sequential.rectifier import FOLDS, folded_slope, needs_scratch, rectify_in_place
from cnnrt_backend_sequential.workspace import BLOCK_BYTES, Scratch


class ScaleChannels(HostKernel):
    """One factor and one offset for each channel, packed from float64; a block of channels at a time.

    The mean is subtracted first: factor * x + (shift - factor * mean) would lose digits where the mean is much larger
    than the deviations from it. No workspace unless a leaky ReLU is folded: then a block.
    """

    layer = "BatchNorm"
    backend = "sequential"
    name = "channels"
    folds = FOLDS

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return three passes over the values, and two for a ReLU."""
        images, channels, values = _sizes(call)
        blocks = images * -(-channels // _block_channels(call))
        return blocks * passes_seconds(0, 0, 3) + passes_seconds(images * channels * values, 3 + 2 * len(call.folded))

    def parameters(self, call: LayerCall) -> Mapping[str, int | str]:
        """Return the channels of a block."""
        return {"channels": _block_channels(call)}

    def workspace(self, call: LayerCall) -> int:
        """Return the bytes that a leaky ReLU needs for a block."""
        return _scratch(call).nbytes

    def packed_bytes(self, call: LayerCall) -> int:
        """Return the bytes of mean, factor and shift."""
        return 3 * 4 * call.inputs[0].shape[1]

    def pack(self, call: LayerCall, weights: Mapping[str, Array]) -> Packed:
        """Return mean, factor and shift as (3, channels, 1)."""
        factor, _ = call.layer.affine_terms(weights)
        terms = np.zeros((3, len(factor), 1), np.float32)
        terms[0, :, 0] = weights["mean"]
        with np.errstate(all="ignore"):
            terms[1, :, 0] = factor
        if "shift" in weights:
            terms[2, :, 0] = weights["shift"]
        return terms

    def bind(self, call: LayerCall) -> HostFunction:
        """Return the loop over images and blocks of channels."""
        shape = _sizes(call)
        images, channels, _ = shape
        step = _block_channels(call)
        blocks = [slice(start, min(start + step, channels)) for start in range(0, channels, step)]
        slope = folded_slope(call)
        scratch = _scratch(call)

        def run(inputs: Sequence[Array], outputs: Sequence[Array], weights: Packed, workspace: Array) -> None:
            x, y = inputs[0].reshape(shape), outputs[0].reshape(shape)
            mean, factor, shift = weights
            spare = scratch.arrays(workspace)
            for image in range(images):
                for block in blocks:
                    out = y[image, block]
                    np.subtract(x[image, block], mean[block], out=out)
                    np.multiply(out, factor[block], out=out)
                    np.add(out, shift[block], out=out)
                    rectify_in_place(out, slope, spare[0][: len(out)] if spare else None)

        return run


def _sizes(call: LayerCall) -> tuple[int, int, int]:
    """Return images, channels, and the values of one channel."""
    images, channels, *rest = call.inputs[0].shape
    return images, channels, math.prod(rest)


def _block_channels(call: LayerCall) -> int:
    _, channels, values = _sizes(call)
    return max(1, min(channels, BLOCK_BYTES // (4 * max(1, values))))


def _scratch(call: LayerCall) -> Scratch:
    scratch = Scratch()
    if needs_scratch(folded_slope(call)):
        scratch.add((_block_channels(call), _sizes(call)[2]))
    return scratch


class ScaleAlone(ScaleChannels):
    """Scale of channels: the same with a mean of 0."""

    layer = "Scale"

    def can_run(self, call: LayerCall, device: Device) -> bool | str:
        """Take one factor and offset for each channel."""
        return call.layer.is_affine(call.input_shapes, call.weight_shapes) or "takes one factor for each channel"

    def pack(self, call: LayerCall, weights: Mapping[str, Array]) -> Packed:
        """Return zeros, factor and offset as (3, channels, 1)."""
        factor, offset = call.layer.affine_terms(weights)
        return np.stack([np.zeros_like(factor), factor, offset]).astype(np.float32)[..., np.newaxis]
