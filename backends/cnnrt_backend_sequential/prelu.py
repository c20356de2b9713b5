"""PReLU: a block of channels at a time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from cnnrt.backend import Device, HostFunction, HostKernel, Packed
from cnnrt.layer import Array
from cnnrt.layer_call import LayerCall
from cnnrt_backend_sequential.cost_model import passes_seconds
from cnnrt_backend_sequential.workspace import BLOCK_BYTES, Scratch


class RectifyChannels(HostKernel):
    """What is positive, plus slope times what is negative; the workspace holds the latter for a block of channels."""

    layer = "PReLU"
    backend = "sequential"
    name = "channels"

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return four passes over the values."""
        images, channels, values = _sizes(call)
        blocks = images * -(-channels // _block_channels(call))
        return blocks * passes_seconds(0, 0, 4) + passes_seconds(images * channels * values, 4)

    def workspace(self, call: LayerCall) -> int:
        """Return the bytes of a block."""
        return _scratch(call).nbytes

    def packed_bytes(self, call: LayerCall) -> int:
        """Return the bytes of the slopes."""
        return 4 * call.inputs[0].shape[1]

    def packing(self, call: LayerCall) -> int:
        """Return the number of channels, which one slope may serve."""
        return call.inputs[0].shape[1]

    def pack(self, call: LayerCall, weights: Mapping[str, Array]) -> Packed:
        """Return the slopes as (channels, 1)."""
        return np.broadcast_to(weights["slope"], call.inputs[0].shape[1:2]).reshape(-1, 1).copy()

    def bind(self, call: LayerCall) -> HostFunction:
        """Return the loop over images and blocks of channels."""
        shape, scratch = _sizes(call), _scratch(call)
        images, channels, _ = shape
        step = _block_channels(call)
        blocks = [slice(start, min(start + step, channels)) for start in range(0, channels, step)]
        zero = np.float32(0)

        def run(inputs: Sequence[Array], outputs: Sequence[Array], weights: Packed, workspace: Array) -> None:
            x, y = inputs[0].reshape(shape), outputs[0].reshape(shape)
            (spare,) = scratch.arrays(workspace)
            for image in range(images):
                for block in blocks:
                    below = spare[: block.stop - block.start]
                    np.minimum(x[image, block], zero, out=below)
                    np.multiply(below, weights[block], out=below)
                    np.maximum(x[image, block], zero, out=y[image, block])
                    np.add(y[image, block], below, out=y[image, block])

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
    scratch.add((_block_channels(call), _sizes(call)[2]))
    return scratch
