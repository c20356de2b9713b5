"""Softmax along one axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import numpy as np

from cnnrt.backend import Device, HostFunction, HostKernel, Packed
from cnnrt.layer import Array, Shape
from cnnrt.layer_call import LayerCall
from cnnrt_backend_sequential.cost_model import passes_seconds
from cnnrt_backend_sequential.workspace import Scratch

if TYPE_CHECKING:
    from cnnrt_layers.softmax import Softmax


class Exponentials(HostKernel):
    """exp(x - max) / sum, the sum in float64 so that a thousand small terms keep their digits.

    The workspace holds the maxima (float32) and the sums (float64) of all vectors.
    """

    layer = "Softmax"
    backend = "sequential"
    name = "exponentials"

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return the passes over the values; an exponential counts as four."""
        return passes_seconds(call.outputs[0].nbytes // 4, 10, 5)

    def workspace(self, call: LayerCall) -> int:
        """Return the bytes of maxima and sums."""
        return _scratch(_folded_shape(call)).nbytes

    def bind(self, call: LayerCall) -> HostFunction:
        """Return the function on (before, axis, after)."""
        shape = _folded_shape(call)
        scratch = _scratch(shape)

        def run(inputs: Sequence[Array], outputs: Sequence[Array], weights: Packed, workspace: Array) -> None:
            x, y = inputs[0].reshape(shape), outputs[0].reshape(shape)
            peak, total = scratch.arrays(workspace)
            np.max(x, axis=1, keepdims=True, out=peak)
            np.subtract(x, peak, out=y)
            np.exp(y, out=y)
            np.sum(y, axis=1, keepdims=True, dtype=np.float64, out=total)
            np.copyto(peak, total, casting="same_kind")
            np.divide(y, peak, out=y)

        return run


def _folded_shape(call: LayerCall) -> Shape:
    shape = call.inputs[0].shape
    axis = cast("Softmax", call.layer).axis % len(shape)
    return math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])


def _scratch(shape: Shape) -> Scratch:
    scratch = Scratch()
    vectors = (shape[0], 1, shape[2])
    scratch.add(vectors)
    scratch.add(vectors, np.float64)
    return scratch
