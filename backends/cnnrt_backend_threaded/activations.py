"""Activations on their own, each the same arithmetic for every value."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Any, ClassVar

from cnnrt.layer_call import LayerCall
from cnnrt_backend_threaded.emitter import Code, Value
from cnnrt_backend_threaded.exponential import exponential
from cnnrt_backend_threaded.flat_work import FlatKernel

TANH_SMALL = 0.625
"""Below, the quotient of exponentials would lose digits, and a polynomial is used."""
TANH_COEFFICIENTS = (-5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1)
"""Of Cephes (S. Moshier, tanhf.c): tanh(x) = x + x * z * P(z), z = x * x."""


class Activation(FlatKernel):
    """Base: one function of one value."""

    name = "flat"
    layer: ClassVar[str]

    def combine(self, call: LayerCall, code: Code, values: Sequence[Value]) -> Value:
        """Return the function of the values."""
        return self.function(call.layer, code, values[0])

    @abc.abstractmethod
    def function(self, layer: Any, code: Code, x: Value) -> Value:
        """Return the layer's function of a vector."""


class Sigmoid(Activation):
    """Logistic function."""

    layer = "Sigmoid"

    def function(self, layer: Any, code: Code, x: Value) -> Value:
        """Return 1 / (1 + exp(-x))."""
        return logistic(code, x)


class Swish(Activation):
    """A value times its logistic function."""

    layer = "Swish"

    def function(self, layer: Any, code: Code, x: Value) -> Value:
        """Return x / (1 + exp(-beta * x))."""
        scaled = x if layer.beta == 1 else code.build.fmul(x, code.constant(layer.beta))
        return code.build.fmul(x, logistic(code, scaled))


class HardSigmoid(Activation):
    """A clipped line."""

    layer = "HardSigmoid"

    def function(self, layer: Any, code: Code, x: Value) -> Value:
        """Return the line, clipped."""
        return code.clip(code.multiply_add(x, code.constant(layer.slope), code.constant(layer.offset)), 0.0, 1.0)


class HardSwish(Activation):
    """A value times a clipped line."""

    layer = "HardSwish"

    def function(self, layer: Any, code: Code, x: Value) -> Value:
        """Return the product."""
        line = code.multiply_add(x, code.constant(1 / 6), code.constant(0.5))
        return code.build.fmul(x, code.clip(line, 0.0, 1.0))


class Bounds(Activation):
    """Clip, where it could not be folded."""

    layer = "Clip"

    def function(self, layer: Any, code: Code, x: Value) -> Value:
        """Return the values within the bounds."""
        return code.clip(x, layer.min, layer.max)


class Tangent(Activation):
    """Hyperbolic tangent."""

    layer = "TanH"

    def function(self, layer: Any, code: Code, x: Value) -> Value:
        """Return amplitude * tanh(slope * x)."""
        scaled = x if layer.slope == 1 else code.build.fmul(x, code.constant(layer.slope))
        result = hyperbolic_tangent(code, scaled)
        return result if layer.amplitude == 1 else code.build.fmul(result, code.constant(layer.amplitude))


class Exponential(Activation):
    """ELU: for negative values, exp(x) - 1 by way of the tangent, which keeps its digits near 0."""

    layer = "ELU"

    def function(self, layer: Any, code: Code, x: Value) -> Value:
        """Return x where it is positive, else alpha * (exp(x) - 1) = alpha * 2 * t / (1 - t), t = tanh(x / 2)."""
        build = code.build
        negative = build.select(build.fcmp_ordered(">", x, code.zero()), code.zero(), x)
        tangent = hyperbolic_tangent(code, build.fmul(negative, code.constant(0.5)))
        below = build.fdiv(build.fmul(tangent, code.constant(2 * layer.alpha)), build.fsub(code.constant(1.0), tangent))
        return build.select(build.fcmp_ordered(">", x, code.zero()), x, below)


def logistic(code: Code, x: Value) -> Value:
    """Return exp(min(x, 0)) / (1 + exp(-|x|)), which is 1 / (1 + exp(-x)) without overflow."""
    build = code.build
    small = exponential(code, build.fneg(code.absolute(x)))
    one = code.constant(1.0)
    return build.fdiv(build.select(build.fcmp_ordered(">", x, code.zero()), one, small), build.fadd(one, small))


def hyperbolic_tangent(code: Code, x: Value) -> Value:
    """Return tanh of a vector: an odd polynomial near 0, a quotient of exponentials farther out."""
    build = code.build
    size = code.absolute(x)
    one = code.constant(1.0)
    squares = exponential(code, build.fmul(size, code.constant(-2.0)))
    far = build.fdiv(build.fsub(one, squares), build.fadd(one, squares))
    far = build.select(build.fcmp_ordered("<", x, code.zero()), build.fneg(far), far)
    z = build.fmul(x, x)
    polynomial = code.constant(TANH_COEFFICIENTS[0])
    for coefficient in TANH_COEFFICIENTS[1:]:
        polynomial = code.multiply_add(polynomial, z, code.constant(coefficient))
    near = code.multiply_add(build.fmul(x, z), polynomial, x)
    return build.select(build.fcmp_ordered("<", size, code.constant(TANH_SMALL)), near, far)


ACTIVATIONS = (Sigmoid, Swish, HardSigmoid, HardSwish, Bounds, Tangent, Exponential)
