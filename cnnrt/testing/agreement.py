"""When two results agree: within a bound for each value, or equal where the exact value is not finite."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cnnrt.layer import Array, shape_text
from cnnrt.testing.case import Case

FLOAT32 = 2.0**-24
"""Unit roundoff of float32: half the distance from 1 to the next number."""
FLOAT64 = 2.0**-53
UNDERFLOW = 2.0**-126
"""Results below the smallest normal float32 may be flushed to zero."""

DRAWS = 8
ALLOWANCE = 16
"""How often the rounding of the inputs a result may be off."""


def rounding_bound(case: Case, unit: float = FLOAT32) -> tuple[Array, ...]:
    """Return, for each output value, how far a sound computation may be from the exact one.

    `unit` is the unit roundoff of its arithmetic. Measured, so that it serves any layer: every input and weight is
    moved by one rounding, up or down at random, and the reference (with what is folded into it) is computed in float64
    a few times. A sound computation is as good as an exact one on inputs that are slightly off (backward stability:
    Higham, "Accuracy and Stability of Numerical Algorithms", 2002, section 1.5), so it may be off by sixteen times the
    root mean square of these differences, and by sixteen roundings of the result. A suite with a sharper bound
    overrides `allowed_error`.
    """
    inputs, weights = case.in_float64()
    exact = case.call.reference(inputs, weights)
    random = np.random.default_rng(case.seed)

    def moved(x: Array) -> Array:
        return x * (1 + unit * random.choice([-1.0, 1.0], x.shape))

    squares = [np.zeros_like(value) for value in exact]
    for _ in range(DRAWS):
        near = case.call.reference([moved(x) for x in inputs], {name: moved(w) for name, w in weights.items()})
        for square, value, other in zip(squares, exact, near, strict=True):
            square += np.nan_to_num((value - other) ** 2)
    return tuple(
        ALLOWANCE * (np.sqrt(square / DRAWS) + unit * np.abs(value)) + UNDERFLOW
        for square, value in zip(squares, exact, strict=True)
    )


def assert_agree(results: Sequence[Array], expected: Sequence[Array], allowed: Sequence[Array], who: str) -> None:
    """Assert that each result is within its bound of the expected one; `who` is named where it is not.

    Where the expected value is infinite or NaN, the result must be the same.
    """
    assert len(results) == len(expected), f"{who} gives {len(results)} outputs, expected {len(expected)}"
    for result, exact, bound in zip(results, expected, allowed, strict=True):
        assert result.shape == exact.shape, (
            f"{who} gives {shape_text(result.shape)}, expected {shape_text(exact.shape)}"
        )
        finite = np.isfinite(exact)
        # What is infinite in float64 need not be in float32, but then it is beyond float32 all the same.
        beyond = np.abs(exact) > np.finfo(np.float32).max
        difference = np.abs(np.where(finite, result, 0) - np.where(finite, exact, 0))
        wrong = np.where(finite & ~beyond, ~(difference <= bound), ~_equal(result, exact) & ~beyond)
        if wrong.any():
            first = tuple(
                int(i) for i in np.unravel_index(int(np.argmax(np.where(wrong, difference, -1))), exact.shape)
            )
            got, wanted = result[first], exact[first]
            unwritten = " (left unwritten, or NaN was computed)" if np.isnan(got) and not np.isnan(wanted) else ""
            raise AssertionError(
                f"{who} is off by {difference[first]:.3g} at {first}: it gives {got:.9g}{unwritten}, expected "
                f"{wanted:.9g} with a difference of at most {bound[first]:.3g}; {int(wrong.sum())} of {wrong.size} "
                f"values are wrong"
            )


def _equal(result: Array, exact: Array) -> Array:
    same: Array = (result == exact) | (np.isnan(result) & np.isnan(exact))
    return same
