"""When two results agree: within a bound for each value, or equal where the exact value is not finite."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cnnrt import rounding
from cnnrt.layer import Array, shape_text
from cnnrt.rounding import FLOAT32, FLOAT64, UNDERFLOW
from cnnrt.testing.case import Case

__all__ = ["FLOAT32", "FLOAT64", "UNDERFLOW", "assert_agree", "rounding_bound"]


def rounding_bound(case: Case, unit: float = FLOAT32) -> tuple[Array, ...]:
    """Return the measured bound of a case, with what is folded in; see `cnnrt.rounding`.

    A suite with a sharper bound overrides `allowed_error`.
    """
    return rounding.rounding_bound(case.call.reference, *case.in_float64(), unit=unit, seed=case.seed)


def assert_agree(results: Sequence[Array], expected: Sequence[Array], allowed: Sequence[Array], who: str) -> None:
    """Assert that each result is within its bound of the expected one; `who` is named where it is not.

    Where the expected value is infinite or NaN, the result must be the same.
    """
    assert len(results) == len(expected), f"{who} gives {len(results)} outputs, expected {len(expected)}"
    for result, exact, bound in zip(results, expected, allowed, strict=True):
        assert result.shape == exact.shape, (
            f"{who} gives {shape_text(result.shape)}, expected {shape_text(exact.shape)}"
        )
        wrong, difference = rounding.disagreements(result, exact, bound)
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
