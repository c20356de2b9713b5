"""How far a sound float32 computation may be from the exact result: measured, so that it serves any layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

FLOAT32 = 2.0**-24
"""Unit roundoff of float32: half the distance from 1 to the next number."""
FLOAT64 = 2.0**-53
UNDERFLOW = 2.0**-126
"""Results below the smallest normal float32 may be flushed to zero."""

DRAWS = 8
ALLOWANCE = 16
"""How often the rounding of the inputs a result may be off."""

Reference = Callable[[Sequence[Array], Mapping[str, Array]], tuple[Array, ...]]


def rounding_bound(
    reference: Reference, inputs: Sequence[Array], weights: Mapping[str, Array], *, unit: float = FLOAT32, seed: int = 0
) -> tuple[Array, ...]:
    """Return, for each output value, how far a sound computation may be from the exact one.

    `inputs` and `weights` are float64; `unit` is the unit roundoff of the arithmetic in question. Every input and
    weight is moved by one rounding, up or down at random, and the reference is computed a few times. A sound
    computation is as good as an exact one on inputs that are slightly off (backward stability: Higham, "Accuracy and
    Stability of Numerical Algorithms", 2002, section 1.5), so it may be off by sixteen times the root mean square of
    these differences, and by sixteen roundings of the result.
    """
    exact = reference(inputs, weights)
    random = np.random.default_rng(seed)

    def moved(x: Array) -> Array:
        return x * (1 + unit * random.choice([-1.0, 1.0], x.shape))

    squares = [np.zeros_like(value) for value in exact]
    for _ in range(DRAWS):
        near = reference([moved(x) for x in inputs], {name: moved(w) for name, w in weights.items()})
        for square, value, other in zip(squares, exact, near, strict=True):
            square += np.nan_to_num((value - other) ** 2)
    return tuple(
        ALLOWANCE * (np.sqrt(square / DRAWS) + unit * np.abs(value)) + UNDERFLOW
        for square, value in zip(squares, exact, strict=True)
    )


def disagreements(result: Array, exact: Array, bound: Array) -> tuple[Array, Array]:
    """Return which values of a float32 result are wrong, and how far each is off; all three have the same shape.

    A value is wrong beyond its bound, or where the exact one is infinite or NaN and it is not. What is beyond float32's
    largest number is not judged.
    """
    finite = np.isfinite(exact)
    beyond = np.abs(exact) > np.finfo(np.float32).max
    difference = np.abs(np.where(finite, result, 0) - np.where(finite, exact, 0))
    same = (result == exact) | (np.isnan(result) & np.isnan(exact))
    return np.where(finite & ~beyond, ~(difference <= bound), ~same & ~beyond), difference
