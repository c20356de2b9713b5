"""Activations on their own, each the same arithmetic for every value."""

from __future__ import annotations

import abc
import math
from collections.abc import Sequence
from typing import Any

from cnnrt.backend import Device
from cnnrt.layer_call import LayerCall
from cnnrt_backend_threaded.emitter import Code, Value
from cnnrt_backend_threaded.exponential import exponential
from cnnrt_backend_threaded.flat_work import FlatKernel
from cnnrt_backend_threaded.normal_distribution import normal_distribution

TANH_SMALL = 0.625
"""Below, the quotient of exponentials would lose digits, and a polynomial is used."""
TANH_COEFFICIENTS = (-5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1)
"""Of Cephes (S. Moshier, tanhf.c): tanh(x) = x + x * z * P(z), z = x * x."""


class Activation(FlatKernel):
    """Base: one function of one value."""

    name = "flat"

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
    """ELU."""

    layer = "ELU"

    def function(self, layer: Any, code: Code, x: Value) -> Value:
        """Return x where it is positive, else alpha * (exp(x) - 1)."""
        return exponential_unit(code, x, 1.0, layer.alpha)


class ScaledExponential(Activation):
    """SELU."""

    layer = "SELU"

    def function(self, layer: Any, code: Code, x: Value) -> Value:
        """Return gamma times an ELU."""
        return exponential_unit(code, x, layer.gamma, layer.gamma * layer.alpha)


class GaussianError(Activation):
    """GELU: a value times the normal distribution function, or what stands for it."""

    layer = "GELU"

    def function(self, layer: Any, code: Code, x: Value) -> Value:
        """Return x times the share of a normal distribution below it."""
        if layer.approximate != "tanh":
            return code.build.fmul(x, normal_distribution(code, x))
        # (1 + tanh(z)) / 2 is the logistic function of 2 z.
        inner = code.multiply_add(code.build.fmul(x, x), code.constant(0.044715), code.constant(1.0))
        twice = code.build.fmul(code.build.fmul(x, inner), code.constant(2 * math.sqrt(2 / math.pi)))
        return code.build.fmul(x, logistic(code, twice))


class MishFunction(Activation):
    """Mish: x * tanh(log(1 + exp(x))), whose tangent is a quotient of polynomials of the exponential."""

    layer = "Mish"

    def function(self, layer: Any, code: Code, x: Value) -> Value:
        """Return x * (e * e + 2 * e) / (e * e + 2 * e + 2), e = exp(x), both sides divided by e * e where x > 0."""
        build = code.build
        small = exponential(code, build.fneg(code.absolute(x)))
        twice = build.fadd(small, small)
        square = build.fmul(small, small)
        positive = build.fcmp_ordered(">", x, code.zero())
        above = build.select(positive, build.fadd(twice, code.constant(1.0)), build.fadd(square, twice))
        rest = build.select(positive, build.fadd(square, square), code.constant(2.0))
        return build.fmul(x, build.fdiv(above, build.fadd(above, rest)))


class Absolute(Activation):
    """AbsVal."""

    layer = "AbsVal"

    def function(self, layer: Any, code: Code, x: Value) -> Value:
        """Return the absolute values."""
        return code.absolute(x)


class SoftSign(Activation):
    """Softsign."""

    layer = "Softsign"

    def function(self, layer: Any, code: Code, x: Value) -> Value:
        """Return x / (1 + |x|)."""
        return code.build.fdiv(x, code.build.fadd(code.absolute(x), code.constant(1.0)))


class LineOrSquare(Activation):
    """Power, where it is a line, as at the start of many networks, or the square of one."""

    layer = "Power"

    def can_run(self, call: LayerCall, device: Device) -> bool | str:
        """Take these two powers."""
        power = getattr(call.layer, "power", 1.0)
        return power in (1, 2) or f"raises to the powers 1 and 2, not {power:g}"

    def function(self, layer: Any, code: Code, x: Value) -> Value:
        """Return (shift + scale * x) ** power."""
        line = code.multiply_add(x, code.constant(layer.scale), code.constant(layer.shift))
        return line if layer.power == 1 else code.build.fmul(line, line)


class ExponentialOfLine(Activation):
    """Exp: a base to the power of a line, which is computed in float64: its rounding grows with its size."""

    layer = "Exp"

    def function(self, layer: Any, code: Code, x: Value) -> Value:
        """Return base ** (shift + scale * x)."""
        build = code.build
        unit = 1.0 if layer.base == -1 else math.log(layer.base)
        line = build.fmul(code.doubled(x), code.double_constant(layer.scale * unit))
        line = build.fadd(line, code.double_constant(layer.shift * unit))
        near = code.halved(line)
        rest = code.halved(build.fsub(line, code.doubled(near)))
        rest = build.select(build.fcmp_ordered("ord", rest, rest), rest, code.zero())  # infinite exponents leave none
        # exp of what is not positive, and of half of what is, lest its inverse be too small.
        positive = build.fcmp_ordered(">", near, code.zero())
        half = build.fmul(near, code.constant(-0.5))
        small = exponential(code, build.select(positive, half, near))
        root = build.fdiv(code.constant(1.0), small)
        power = build.select(positive, build.fmul(root, root), small)
        return build.fmul(power, build.fadd(rest, code.constant(1.0)))


def exponential_unit(code: Code, x: Value, above: float, below: float) -> Value:
    """Return above * x where x is positive, else below * (exp(x) - 1).

    By way of the tangent, exp(x) - 1 = 2 * t / (1 - t) with t = tanh(x / 2), which keeps its digits near 0.
    """
    build = code.build
    negative = build.select(build.fcmp_ordered(">", x, code.zero()), code.zero(), x)
    tangent = hyperbolic_tangent(code, build.fmul(negative, code.constant(0.5)))
    curve = build.fdiv(build.fmul(tangent, code.constant(2 * below)), build.fsub(code.constant(1.0), tangent))
    line = x if above == 1 else build.fmul(x, code.constant(above))
    return build.select(build.fcmp_ordered(">", x, code.zero()), line, curve)


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


ACTIVATIONS = (
    Sigmoid,
    Swish,
    HardSigmoid,
    HardSwish,
    Bounds,
    Tangent,
    Exponential,
    ScaledExponential,
    GaussianError,
    MishFunction,
    Absolute,
    SoftSign,
    LineOrSquare,
    ExponentialOfLine,
)
