"""Local response normalisation, across channels and within a channel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

import numpy as np

from cnnrt.backend import Device, HostFunction, HostKernel, Packed
from cnnrt.layer import Array
from cnnrt.layer_call import LayerCall
from cnnrt_backend_sequential.cost_model import passes_seconds
from cnnrt_backend_sequential.workspace import BLOCK_BYTES, Scratch

if TYPE_CHECKING:
    from cnnrt_layers.lrn import LRN


class NormaliseBlocks(HostKernel):
    """Squares with a border of zeros, summed by shifted additions, for a block of pixels or channels at a time.

    Adding each window anew costs more than a running sum but keeps float32's accuracy: a running sum carries the
    rounding of everything that has left the window. The workspace holds the block's squares and sums.
    """

    layer = "LRN"
    backend = "sequential"
    name = "blocks"

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return the passes over the values: one for each shifted addition and a dozen besides."""
        layer = cast("LRN", call.layer)
        additions = layer.local_size * (1 if _across(layer) else 2)
        return passes_seconds(call.outputs[0].nbytes // 4, additions + 12)

    def parameters(self, call: LayerCall) -> Mapping[str, int | str]:
        """Return the size of a block."""
        if _across(cast("LRN", call.layer)):
            return {"pixels": _pixels(call)}
        return {"channels": _channels(call)}

    def workspace(self, call: LayerCall) -> int:
        """Return the bytes of a block's squares and sums."""
        return _scratch(call).nbytes

    def bind(self, call: LayerCall) -> HostFunction:
        """Return the loop over blocks for the layer's region."""
        return _bind_across(call) if _across(cast("LRN", call.layer)) else _bind_within(call)


def _bind_across(call: LayerCall) -> HostFunction:
    layer = cast("LRN", call.layer)
    images, channels, height, width = call.inputs[0].shape
    pixels = height * width
    half = _half(layer, channels)
    scratch = _scratch(call)
    step = _pixels(call)
    blocks = [slice(start, min(start + step, pixels)) for start in range(0, pixels, step)]

    def run(inputs: Sequence[Array], outputs: Sequence[Array], weights: Packed, workspace: Array) -> None:
        x = inputs[0].reshape(images, channels, pixels)
        y = outputs[0].reshape(images, channels, pixels)
        squares, sums = scratch.arrays(workspace)
        squares[:half] = 0
        squares[half + channels :] = 0
        for image in range(images):
            for block in blocks:
                values, out = x[image, :, block], y[image, :, block]
                width = values.shape[1]
                inner, total = squares[half : half + channels, :width], sums[:, :width]
                np.multiply(values, values, out=inner)
                _add_windows(squares[:, :width], total, 0)
                np.multiply(total, layer.alpha / layer.local_size, out=total)
                np.add(total, layer.k, out=total)
                _divide_by_power(values, total, layer.beta, out, inner)

    return run


def _bind_within(call: LayerCall) -> HostFunction:
    layer = cast("LRN", call.layer)
    images, channels, height, width = call.inputs[0].shape
    planes = images * channels
    above, left = _half(layer, height), _half(layer, width)
    scratch = _scratch(call)
    step = _channels(call)
    blocks = [slice(start, min(start + step, planes)) for start in range(0, planes, step)]

    def run(inputs: Sequence[Array], outputs: Sequence[Array], weights: Packed, workspace: Array) -> None:
        x = inputs[0].reshape(planes, height, width)
        y = outputs[0].reshape(planes, height, width)
        squares, lines, sums = scratch.arrays(workspace)
        squares[...] = 0
        for block in blocks:
            values, out = x[block], y[block]
            count = values.shape[0]
            total = sums[:count]
            np.multiply(values, values, out=squares[:count, above : above + height, left : left + width])
            _add_windows(squares[:count], lines[:count], 1)
            _add_windows(lines[:count], total, 2)
            np.multiply(total, layer.alpha / layer.local_size**2, out=total)
            np.add(total, 1, out=total)
            _divide_by_power(values, total, layer.beta, out, lines[:count, :, :width])

    return run


def _add_windows(padded: Array, out: Array, axis: int) -> None:
    """Write to `out` the sums of neighbours along `axis`: as many as `padded` is longer there, plus one."""
    size = out.shape[axis]
    before = (slice(None),) * axis
    shifted = [padded[(*before, slice(tap, tap + size))] for tap in range(padded.shape[axis] - size + 1)]
    if len(shifted) == 1:
        np.copyto(out, shifted[0])
        return
    np.add(shifted[0], shifted[1], out=out)
    for term in shifted[2:]:
        np.add(out, term, out=out)


def _divide_by_power(x: Array, base: Array, beta: float, out: Array, spare: Array) -> None:
    """Write x / base^beta to `out`; `base` and `spare` (same shape) are overwritten.

    The exponents of published networks are done by square roots, many times faster than a general power.
    """
    if beta == 0.75:
        np.sqrt(base, out=base)
        np.sqrt(base, out=spare)
        np.multiply(base, spare, out=base)
    elif beta == 0.5:
        np.sqrt(base, out=base)
    elif beta != 1:
        np.power(base, beta, out=base)
    np.divide(x, base, out=out)


def _across(layer: LRN) -> bool:
    return layer.norm_region == "across_channels"


def _pixels(call: LayerCall) -> int:
    """Return the pixels of a block across channels."""
    _, channels, height, width = call.inputs[0].shape
    fitting = max(1, BLOCK_BYTES // (8 * max(1, channels)))
    blocks = -(-height * width // fitting)
    return max(1, -(-height * width // max(1, blocks)))


def _channels(call: LayerCall) -> int:
    """Return the planes of a block within channels."""
    images, channels, height, width = call.inputs[0].shape
    layer = cast("LRN", call.layer)
    plane = 12 * (height + 2 * _half(layer, height)) * (width + 2 * _half(layer, width))
    return max(1, min(images * channels, BLOCK_BYTES // max(1, plane)))


def _half(layer: LRN, size: int) -> int:
    """Return how far a neighbourhood reaches along an axis of `size`: beyond the image there are only zeros."""
    return min(layer.local_size // 2, max(0, size - 1))


def _scratch(call: LayerCall) -> Scratch:
    layer = cast("LRN", call.layer)
    _, channels, height, width = call.inputs[0].shape
    scratch = Scratch()
    if _across(layer):
        pixels = _pixels(call)
        scratch.add((channels + 2 * _half(layer, channels), pixels))
        scratch.add((channels, pixels))
        return scratch
    planes = _channels(call)
    padded_width = width + 2 * _half(layer, width)
    scratch.add((planes, height + 2 * _half(layer, height), padded_width))
    scratch.add((planes, height, padded_width))
    scratch.add((planes, height, width))
    return scratch
