"""Elementwise layers once more, one number after the other, in Python's own arithmetic."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.special

from cnnrt.layer import Array

Function = Callable[[Any, float], float]


def by_value(function: Function) -> Callable[[Any, Sequence[Array], Any], Array]:
    """Return the oracle that applies `function(layer, x)` to each value; what overflows is infinite."""

    def compute(layer: Any, inputs: Sequence[Array], weights: Any) -> Array:
        (x,) = inputs
        return np.array([_result(function, layer, float(v)) for v in x.ravel()], np.float64).reshape(x.shape)

    return compute


def _result(function: Function, layer: Any, x: float) -> float:
    try:
        return function(layer, x)
    except OverflowError:
        return math.inf
    except (ValueError, TypeError):  # outside of the domain; a complex number
        return math.nan


def sigmoid(x: float) -> float:
    """Return the logistic function; math.exp overflows beyond 709."""
    return 1 / (1 + math.exp(-x)) if x > -700 else math.exp(x)


def elu(alpha: float, x: float) -> float:
    return x if x > 0 else alpha * math.expm1(x)


def real_power(base: float, exponent: float) -> float:
    if base == 0 and exponent < 0:
        negative = math.copysign(1, base) < 0 and exponent.is_integer() and exponent % 2 == 1
        return -math.inf if negative else math.inf
    result = base**exponent
    if isinstance(result, complex):
        raise TypeError("not real")
    return result


def logarithm(layer: Any, x: float) -> float:
    line = layer.shift + layer.scale * x
    if line == 0:
        divisor = 1.0 if layer.base == -1 else math.log(layer.base)
        return -math.inf / divisor
    return math.log(line) / (1.0 if layer.base == -1 else math.log(layer.base))


def gelu(layer: Any, x: float) -> float:
    if layer.approximate == "tanh":
        return x * float(scipy.special.expit(2 * math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))
    return x * float(scipy.special.ndtr(x))


UNARY: dict[str, Callable[[float], float]] = {
    "sqrt": math.sqrt,
    "square": lambda x: x * x,
    "reciprocal": lambda x: 1 / x if x else math.copysign(math.inf, x),
    "neg": lambda x: -x,
    "sign": lambda x: (x > 0) - (x < 0),
    "floor": math.floor,
    "ceil": math.ceil,
    "round": round,
    "erf": math.erf,
    "sin": math.sin,
    "cos": math.cos,
    "tan": math.tan,
    "asin": math.asin,
    "acos": math.acos,
    "atan": math.atan,
    "sinh": lambda x: math.copysign(abs(math.sinh(x)), x) if abs(x) < 700 else math.copysign(math.inf, x),
    "cosh": math.cosh,
    "asinh": math.asinh,
    "acosh": math.acosh,
    "atanh": lambda x: math.copysign(math.inf, x) if abs(x) == 1 else math.atanh(x),
}

ELEMENTWISE = {
    "absval": by_value(lambda layer, x: -x if x < 0 else x),
    "clip": by_value(
        lambda layer, x: (
            sorted((x, *(b for b in (layer.min, layer.max) if b is not None)))[1]
            if None not in (layer.min, layer.max)
            else max(x, layer.min)
            if layer.min is not None
            else min(x, layer.max)
            if layer.max is not None
            else x
        )
    ),
    "elu": by_value(lambda layer, x: elu(layer.alpha, x)),
    "exp": by_value(lambda layer, x: (math.e if layer.base == -1 else layer.base) ** (layer.shift + layer.scale * x)),
    "gelu": by_value(gelu),
    "hardsigmoid": by_value(lambda layer, x: min(1.0, max(0.0, layer.slope * x + layer.offset))),
    "hardswish": by_value(lambda layer, x: x * min(6.0, max(0.0, x + 3)) / 6),
    "log": by_value(logarithm),
    "power": by_value(lambda layer, x: real_power(layer.shift + layer.scale * x, layer.power)),
    "selu": by_value(lambda layer, x: layer.gamma * elu(layer.alpha, x)),
    "sigmoid": by_value(lambda layer, x: sigmoid(x)),
    "mish": by_value(lambda layer, x: x * math.tanh(max(x, 0.0) + math.log1p(math.exp(-abs(x))))),
    "softplus": by_value(lambda layer, x: max(x, 0.0) + math.log1p(math.exp(-abs(x)))),
    "softsign": by_value(lambda layer, x: x / (1 + abs(x))),
    "swish": by_value(lambda layer, x: x * sigmoid(layer.beta * x)),
    "tanh": by_value(lambda layer, x: layer.amplitude * math.tanh(layer.slope * x)),
    "threshold": by_value(lambda layer, x: x if x > layer.threshold else layer.value),
    "unary": by_value(lambda layer, x: UNARY[layer.operation](x)),
}
