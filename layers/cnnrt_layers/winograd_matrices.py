"""The matrices of Winograd's minimal filtering F(m, r): m outputs of a filter of r values with m + r - 1 products.

    y = A' [(G g) * (B' d)]      one dimension; in two, each matrix is applied to rows and to columns

They follow from evaluating polynomials at points (Winograd, "Arithmetic Complexity of Computations", 1980; Lavin and
Gray, "Fast Algorithms for Convolutional Neural Networks", 2016, section 4; Blahut, "Fast Algorithms for Signal
Processing", 2010, chapter 5). Any points will do in exact arithmetic; in floating point they decide how far rounding
errors grow.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from fractions import Fraction

import attrs
import numpy as np

from cnnrt.layer import Array


@attrs.frozen
class Filtering:
    """F(outputs, taps) with these points beside infinity; there is one less than products."""

    outputs: int
    taps: int
    points: tuple[Fraction, ...]

    @property
    def products(self) -> int:
        """Products in one dimension."""
        return self.outputs + self.taps - 1


@attrs.frozen(eq=False)
class Matrices:
    """A' (outputs × products), G (products × taps) and B' (products × products), float64."""

    output: Array
    weight: Array
    input: Array


@functools.cache
def matrices(filtering: Filtering) -> Matrices:
    """Return the matrices, computed exactly and rounded once."""
    points, count = filtering.points, filtering.products
    output = [[p**k for p in points] + [Fraction(k == filtering.outputs - 1)] for k in range(filtering.outputs)]
    weight = []
    rows = []
    for i, p in enumerate(points):
        others = [q for j, q in enumerate(points) if j != i]
        scale = Fraction(1)
        for q in others:
            scale *= p - q
        weight.append([p**k / scale for k in range(filtering.taps)])
        rows.append(_product_of_roots(others, count))
    weight.append([Fraction(k == filtering.taps - 1) for k in range(filtering.taps)])
    rows.append(_product_of_roots(points, count))
    return Matrices(*(np.array(m, dtype=object).astype(np.float64) for m in (output, weight, rows)))


def _product_of_roots(roots: Sequence[Fraction], length: int) -> list[Fraction]:
    """Return the coefficients of the product of (x - root), the constant first, filled up with zeros."""
    coefficients = [Fraction(1)]
    for root in roots:
        shifted = [Fraction(0), *coefficients]
        scaled = [-root * c for c in coefficients] + [Fraction(0)]
        coefficients = [a + b for a, b in zip(shifted, scaled, strict=True)]
    return coefficients + [Fraction(0)] * (length - len(coefficients))
