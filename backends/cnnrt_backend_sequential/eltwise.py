"""Element-wise sum, product, maximum and the like of several inputs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, cast

import numpy as np

from cnnrt.backend import Device, HostFunction, HostKernel, Packed
from cnnrt.layer import Array
from cnnrt.layer_call import LayerCall
from cnnrt_backend_sequential.cost_model import passes_seconds
from cnnrt_backend_sequential.rectifier import FOLDS, folded_slope, needs_scratch, rectify_in_place
from cnnrt_backend_sequential.workspace import BLOCK_BYTES, Scratch

if TYPE_CHECKING:
    from cnnrt_layers.eltwise import Eltwise

CHUNK = BLOCK_BYTES // 16
"""Values in a chunk: result, scaled input and the inputs read fit the cache together."""

COMBINE: dict[str, Callable[..., Array]] = {
    "sum": np.add,
    "prod": np.multiply,
    "max": np.maximum,
    "min": np.minimum,
    "sub": np.subtract,
    "div": np.divide,
}


class CombineChunks(HostKernel):
    """Chunk by chunk, so that the growing result, and a ReLU of it, stays in the cache.

    The workspace holds one chunk where inputs are scaled or a leaky ReLU is folded.
    """

    layer = "Eltwise"
    backend = "sequential"
    name = "chunks"
    folds = FOLDS

    def can_run(self, call: LayerCall, device: Device) -> bool | str:
        """Decline inputs that are broadcast, and the rarer operations."""
        operation = cast("Eltwise", call.layer).operation
        if operation not in COMBINE:
            return f"combines by {', '.join(COMBINE)}, not by {operation}"
        return len(set(call.input_shapes)) == 1 or "takes inputs of equal shapes"

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return a pass for each input, two where it is scaled, and two for a ReLU."""
        scaled = 2 if cast("Eltwise", call.layer).coeff else 1
        return passes_seconds(call.outputs[0].nbytes // 4, scaled * len(call.inputs) + 2 * len(call.folded))

    def workspace(self, call: LayerCall) -> int:
        """Return the bytes of a chunk where one is needed."""
        return self._scratch(call).nbytes

    def bind(self, call: LayerCall) -> HostFunction:
        """Return the loop over chunks."""
        layer = cast("Eltwise", call.layer)
        combine = COMBINE[layer.operation]
        coefficients = tuple(layer.coeff) or (1.0,) * len(call.inputs)
        slope = folded_slope(call)
        scratch = self._scratch(call)
        values = math.prod(call.outputs[0].shape)
        chunks = [slice(start, min(start + CHUNK, values)) for start in range(0, values, CHUNK)]

        def run(inputs: Sequence[Array], outputs: Sequence[Array], weights: Packed, workspace: Array) -> None:
            flat = [x.reshape(-1) for x in inputs]
            out = outputs[0].reshape(-1)
            spare = scratch.arrays(workspace)
            for chunk in chunks:
                result = so_far = out[chunk]
                if len(flat) > 1 and coefficients[0] == 1:
                    so_far = flat[0][chunk]
                else:
                    np.multiply(flat[0][chunk], coefficients[0], out=result)
                for x, coefficient in zip(flat[1:], coefficients[1:], strict=True):
                    term = x[chunk]
                    if coefficient != 1:
                        term = np.multiply(term, coefficient, out=spare[0][: term.size])
                    so_far = combine(so_far, term, out=result)
                rectify_in_place(result, slope, spare[0][: result.size] if spare else None)

        return run

    @staticmethod
    def _scratch(call: LayerCall) -> Scratch:
        scratch = Scratch()
        if any(c != 1 for c in cast("Eltwise", call.layer).coeff) or needs_scratch(folded_slope(call)):
            scratch.add((min(CHUNK, math.prod(call.outputs[0].shape)),))
        return scratch
