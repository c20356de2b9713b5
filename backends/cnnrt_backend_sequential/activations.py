"""Activations in float32, chunk by chunk, so that their several passes stay in the cache."""

from __future__ import annotations

import abc
import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from cnnrt.backend import Device, HostFunction, HostKernel, Packed
from cnnrt.layer import Array
from cnnrt.layer_call import LayerCall
from cnnrt_backend_sequential.cost_model import passes_seconds
from cnnrt_backend_sequential.workspace import BLOCK_BYTES, Scratch

CHUNK = BLOCK_BYTES // 16
"""Values in a chunk: input, output and scratch fit the cache together."""


class Activation(HostKernel):
    """Base: `apply` fills a chunk of the output. The workspace is one chunk where `scratch` says so."""

    backend = "sequential"
    name = "chunks"
    layer: ClassVar[str]
    passes: ClassVar[float] = 2
    scratch: ClassVar[bool] = False

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return the passes over the values."""
        return passes_seconds(math.prod(call.outputs[0].shape), self.passes)

    def workspace(self, call: LayerCall) -> int:
        """Return the bytes of a chunk where one is needed."""
        return self._scratch(call).nbytes

    def bind(self, call: LayerCall) -> HostFunction:
        """Return the loop over chunks."""
        layer, scratch = call.layer, self._scratch(call)
        values = math.prod(call.outputs[0].shape)
        chunks = [slice(start, min(start + CHUNK, values)) for start in range(0, values, CHUNK)]

        def run(inputs: Sequence[Array], outputs: Sequence[Array], weights: Packed, workspace: Array) -> None:
            x, y = inputs[0].reshape(-1), outputs[0].reshape(-1)
            spare = scratch.arrays(workspace)
            for chunk in chunks:
                out = y[chunk]
                self.apply(layer, x[chunk], out, spare[0][: out.size] if spare else out)

        return run

    @abc.abstractmethod
    def apply(self, layer: Any, x: Array, out: Array, spare: Array) -> None:
        """Write the layer's function of `x` to `out`; `spare` is `out` itself where there is no scratch."""

    def _scratch(self, call: LayerCall) -> Scratch:
        made = Scratch()
        if self.scratch:
            made.add((min(CHUNK, math.prod(call.outputs[0].shape)),))
        return made


class Sigmoid(Activation):
    """Two exponentials of what is not positive, and a quotient."""

    layer = "Sigmoid"
    passes = 20
    scratch = True

    def apply(self, layer: Any, x: Array, out: Array, spare: Array) -> None:
        """Write exp(min(x, 0)) / (1 + exp(-|x|))."""
        _logistic(x, out, spare)


class Swish(Activation):
    """A logistic function and a product."""

    layer = "Swish"
    passes = 22
    scratch = True

    def apply(self, layer: Any, x: Array, out: Array, spare: Array) -> None:
        """Write x times the logistic function of beta * x."""
        np.multiply(x, np.float32(layer.beta), out=out)
        _logistic(out, out, spare)
        np.multiply(x, out, out=out)

    def can_run(self, call: LayerCall, device: Device) -> bool | str:
        """Decline a beta that float32 does not hold."""
        beta = getattr(call.layer, "beta", 1.0)
        return abs(beta) <= float(np.finfo(np.float32).max) or f"beta {beta:g} does not fit into float32"


class HardSigmoid(Activation):
    """A line, clipped."""

    layer = "HardSigmoid"
    passes = 4

    def apply(self, layer: Any, x: Array, out: Array, spare: Array) -> None:
        """Write the clipped line."""
        np.multiply(x, np.float32(layer.slope), out=out)
        np.add(out, np.float32(layer.offset), out=out)
        np.clip(out, np.float32(0), np.float32(1), out=out)


class HardSwish(Activation):
    """A line, clipped, times the value."""

    layer = "HardSwish"
    passes = 5

    def apply(self, layer: Any, x: Array, out: Array, spare: Array) -> None:
        """Write the product."""
        np.multiply(x, np.float32(1 / 6), out=out)
        np.add(out, np.float32(0.5), out=out)
        np.clip(out, np.float32(0), np.float32(1), out=out)
        np.multiply(x, out, out=out)


class Tangent(Activation):
    """NumPy's hyperbolic tangent."""

    layer = "TanH"
    passes = 12

    def apply(self, layer: Any, x: Array, out: Array, spare: Array) -> None:
        """Write amplitude * tanh(slope * x)."""
        np.multiply(x, np.float32(layer.slope), out=out)
        np.tanh(out, out=out)
        np.multiply(out, np.float32(layer.amplitude), out=out)


class Bounds(Activation):
    """Clip."""

    layer = "Clip"
    passes = 4

    def apply(self, layer: Any, x: Array, out: Array, spare: Array) -> None:
        """Write the values within the bounds."""
        np.maximum(x, np.float32(-np.inf if layer.min is None else layer.min), out=out)
        if layer.max is not None:
            np.minimum(out, np.float32(layer.max), out=out)


def _logistic(x: Array, out: Array, spare: Array) -> None:
    """Write the logistic function of `x`, which may be `out`, without overflow."""
    np.minimum(x, np.float32(0), out=spare)
    np.exp(spare, out=spare)
    np.abs(x, out=out)
    np.negative(out, out=out)
    np.exp(out, out=out)
    np.add(out, np.float32(1), out=out)
    np.divide(spare, out, out=out)


ACTIVATIONS = (Sigmoid, Swish, HardSigmoid, HardSwish, Tangent, Bounds)
