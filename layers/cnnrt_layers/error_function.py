"""The error function of arrays, which NumPy does not have: exact to a rounding, and slow."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from cnnrt.layer import Array


def error_function(x: Array) -> Array:
    """Return erf of each value, in float64."""
    return _each(math.erf, x)


def normal_distribution(x: Array) -> Array:
    """Return the share of a standard normal distribution below each value, in float64.

    By the complement erfc, which keeps its digits where the share is small.
    """
    share = _each(math.erfc, x * -math.sqrt(0.5))
    share /= 2
    return share


def _each(function: Callable[[float], float], x: Array) -> Array:
    return np.fromiter(map(function, x.ravel()), np.float64, x.size).reshape(x.shape)
