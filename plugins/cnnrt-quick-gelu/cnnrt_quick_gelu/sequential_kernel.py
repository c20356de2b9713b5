"""QuickGelu on the sequential backend: a second way to compute the layer, which has to agree with its reference."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np

from cnnrt.backend import Device, HostFunction, HostKernel, Packed
from cnnrt.layer import Array
from cnnrt.layer_call import LayerCall
from cnnrt_quick_gelu.quick_gelu import QuickGelu

CHUNK = 16 * 1024
"""Values computed at a time: 64 KiB of scratch, which stays in the cache between the four passes."""

LARGEST = float(np.finfo(np.float32).max)


class QuickGeluChunks(HostKernel):
    """Chunk by chunk in float32: product, exponential and sum in the workspace, the quotient into the output.

    Off by at most (8 + 2 * |beta * x|) * 2**-24 of the result: what is rounded in beta * x becomes a relative error of
    the exponential.
    """

    layer = "QuickGelu"
    backend = "sequential"
    name = "chunks"

    def can_run(self, call: LayerCall, device: Device) -> bool | str:
        """Return True for float32, in which this kernel computes, and a beta that it can hold."""
        dtype, beta = call.inputs[0].dtype, cast(QuickGelu, call.layer).beta
        if dtype != "float32":
            return f"computes in float32, not in {dtype}"
        return abs(beta) <= LARGEST or f"beta {beta:g} does not fit into float32"

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return the seconds: 0.8 ns a value and 3 µs a chunk, measured on one core of a 2024 server processor."""
        values = _values(call)
        return 0.8e-9 * values + 3e-6 * -(-values // CHUNK)

    def parameters(self, call: LayerCall) -> Mapping[str, int | str]:
        """Return the values of a chunk."""
        return {"chunk": min(CHUNK, _values(call))}

    def workspace(self, call: LayerCall) -> int:
        """Return the bytes of one chunk."""
        return 4 * min(CHUNK, _values(call))

    def bind(self, call: LayerCall) -> HostFunction:
        """Return the loop over chunks; all that depends on shapes and keys alone is settled here."""
        factor = np.float32(-cast(QuickGelu, call.layer).beta)
        values = _values(call)
        chunks = [slice(start, min(start + CHUNK, values)) for start in range(0, values, CHUNK)]

        def run(inputs: Sequence[Array], outputs: Sequence[Array], weights: Packed, workspace: Array) -> None:
            x, y = inputs[0].reshape(-1), outputs[0].reshape(-1)
            scratch = workspace[: 4 * min(CHUNK, values)].view(np.float32)
            for chunk in chunks:
                divisor = scratch[: chunk.stop - chunk.start]
                np.multiply(x[chunk], factor, out=divisor)
                np.exp(divisor, out=divisor)
                np.add(divisor, 1, out=divisor)
                np.divide(x[chunk], divisor, out=y[chunk])

        return run


def _values(call: LayerCall) -> int:
    return math.prod(call.inputs[0].shape)
