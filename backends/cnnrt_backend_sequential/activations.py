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
    """Base: `apply` fills a chunk of the output. The workspace is as many chunks as `scratch` says."""

    backend = "sequential"
    name = "chunks"
    passes: ClassVar[float] = 2
    scratch: ClassVar[int] = 0

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return the passes over the values."""
        return passes_seconds(math.prod(call.outputs[0].shape), self.passes)

    def workspace(self, call: LayerCall) -> int:
        """Return the bytes of the chunks that are needed beside."""
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
                self.apply(layer, x[chunk], out, *(own[: out.size] for own in spare))

        return run

    @abc.abstractmethod
    def apply(self, layer: Any, x: Array, out: Array, *spare: Array) -> None:
        """Write the layer's function of `x` to `out`; `spare` are chunks to write to."""

    def _scratch(self, call: LayerCall) -> Scratch:
        made = Scratch()
        for _ in range(self.scratch):
            made.add((min(CHUNK, math.prod(call.outputs[0].shape)),))
        return made


class Sigmoid(Activation):
    """Two exponentials of what is not positive, and a quotient."""

    layer = "Sigmoid"
    passes = 20
    scratch = 1

    def apply(self, layer: Any, x: Array, out: Array, *spare: Array) -> None:
        """Write exp(min(x, 0)) / (1 + exp(-|x|))."""
        _logistic(x, out, spare[0])


class Swish(Activation):
    """A logistic function and a product."""

    layer = "Swish"
    passes = 22
    scratch = 1

    def apply(self, layer: Any, x: Array, out: Array, *spare: Array) -> None:
        """Write x times the logistic function of beta * x."""
        np.multiply(x, np.float32(layer.beta), out=out)
        _logistic(out, out, spare[0])
        np.multiply(x, out, out=out)

    def can_run(self, call: LayerCall, device: Device) -> bool | str:
        """Decline a beta that float32 does not hold."""
        beta = getattr(call.layer, "beta", 1.0)
        return abs(beta) <= float(np.finfo(np.float32).max) or f"beta {beta:g} does not fit into float32"


class HardSigmoid(Activation):
    """A line, clipped."""

    layer = "HardSigmoid"
    passes = 4

    def apply(self, layer: Any, x: Array, out: Array, *spare: Array) -> None:
        """Write the clipped line."""
        np.multiply(x, np.float32(layer.slope), out=out)
        np.add(out, np.float32(layer.offset), out=out)
        np.clip(out, np.float32(0), np.float32(1), out=out)


class HardSwish(Activation):
    """A line, clipped, times the value."""

    layer = "HardSwish"
    passes = 5

    def apply(self, layer: Any, x: Array, out: Array, *spare: Array) -> None:
        """Write the product."""
        np.multiply(x, np.float32(1 / 6), out=out)
        np.add(out, np.float32(0.5), out=out)
        np.clip(out, np.float32(0), np.float32(1), out=out)
        np.multiply(x, out, out=out)


class Tangent(Activation):
    """NumPy's hyperbolic tangent."""

    layer = "TanH"
    passes = 12

    def apply(self, layer: Any, x: Array, out: Array, *spare: Array) -> None:
        """Write amplitude * tanh(slope * x)."""
        np.multiply(x, np.float32(layer.slope), out=out)
        np.tanh(out, out=out)
        np.multiply(out, np.float32(layer.amplitude), out=out)


class Bounds(Activation):
    """Clip."""

    layer = "Clip"
    passes = 4

    def apply(self, layer: Any, x: Array, out: Array, *spare: Array) -> None:
        """Write the values within the bounds."""
        np.maximum(x, np.float32(-np.inf if layer.min is None else layer.min), out=out)
        if layer.max is not None:
            np.minimum(out, np.float32(layer.max), out=out)


class Exponential(Activation):
    """ELU by way of the tangent, which NumPy computes in vectors: exp(x) - 1 = 2 * t / (1 - t), t = tanh(x / 2)."""

    layer = "ELU"
    passes = 20
    scratch = 1

    def apply(self, layer: Any, x: Array, out: Array, *spare: Array) -> None:
        """Write x where it is positive, else alpha * (exp(x) - 1)."""
        (tangent,) = spare
        np.minimum(x, np.float32(0), out=tangent)
        np.multiply(tangent, np.float32(0.5), out=tangent)
        np.tanh(tangent, out=tangent)
        np.subtract(np.float32(1), tangent, out=out)
        np.multiply(tangent, np.float32(2 * layer.alpha), out=tangent)
        np.divide(tangent, out, out=tangent)
        np.maximum(x, np.float32(0), out=out)
        np.add(out, tangent, out=out)


class GaussianError(Activation):
    """GELU by the complementary error function: erfc(z) = exp(-z**2) * t * P(t) for z >= 0, t = 2 / (2 + z).

    The reference goes to the C library's function value by value.
    """

    layer = "GELU"
    passes = 45
    scratch = 2

    def apply(self, layer: Any, x: Array, out: Array, *spare: Array) -> None:
        """Write x times the normal distribution function, or what stands for it."""
        one, other = spare
        if layer.approximate == "tanh":
            np.multiply(x, x, out=other)
            np.multiply(other, np.float32(0.044715), out=other)
            np.add(other, np.float32(1), out=other)
            np.multiply(other, x, out=other)
            np.multiply(other, np.float32(2 * math.sqrt(2 / math.pi)), out=other)
            _logistic(other, out, one)
            np.multiply(x, out, out=out)
            return
        np.abs(x, out=one)
        np.multiply(one, np.float32(math.sqrt(0.5)), out=one)
        np.add(one, np.float32(2), out=one)
        np.divide(np.float32(2), one, out=one)
        np.multiply(one, np.float32(ERFC[0]), out=other)
        for coefficient in ERFC[1:-1]:
            np.add(other, np.float32(coefficient), out=other)
            np.multiply(other, one, out=other)
        np.add(other, np.float32(ERFC[-1]), out=other)
        np.multiply(other, one, out=other)
        np.multiply(x, x, out=one)
        np.multiply(one, np.float32(-0.5), out=one)
        np.exp(one, out=one)
        np.multiply(other, one, out=other)
        np.multiply(other, np.float32(0.5), out=other)  # the share outside of -|x|
        np.subtract(np.float32(1), other, out=one)
        np.copyto(one, other, where=x <= 0)
        np.multiply(x, one, out=out)


ERFC = (
    -0.0599813771364721,
    0.28883841596812365,
    -0.49560178823633144,
    0.28714822763235087,
    -0.03248528481253937,
    0.20498636513455273,
    0.2425706046566368,
    0.28244176739349675,
    0.28208301978876105,
)
"""Coefficients of P from the highest power down, fitted on Chebyshev nodes to 5e-8 of erfc."""


class Line(Activation):
    """Power where it is a line or its square."""

    layer = "Power"
    passes = 3

    def can_run(self, call: LayerCall, device: Device) -> bool | str:
        """Take these two powers."""
        power = getattr(call.layer, "power", 1.0)
        return power in (1, 2) or f"raises to the powers 1 and 2, not {power:g}"

    def apply(self, layer: Any, x: Array, out: Array, *spare: Array) -> None:
        """Write (shift + scale * x) ** power."""
        np.multiply(x, np.float32(layer.scale), out=out)
        np.add(out, np.float32(layer.shift), out=out)
        if layer.power == 2:
            np.multiply(out, out, out=out)


def _logistic(x: Array, out: Array, spare: Array) -> None:
    """Write the logistic function of `x`, which may be `out`, without overflow."""
    np.minimum(x, np.float32(0), out=spare)
    np.exp(spare, out=spare)
    np.abs(x, out=out)
    np.negative(out, out=out)
    np.exp(out, out=out)
    np.add(out, np.float32(1), out=out)
    np.divide(spare, out, out=out)


ACTIVATIONS = (Sigmoid, Swish, HardSigmoid, HardSwish, Tangent, Bounds, Exponential, GaussianError, Line)
