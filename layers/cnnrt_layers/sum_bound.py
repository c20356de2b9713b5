"""How far a sum of many products may be from the exact one.

Sums of n products, in whatever order: each of the n additions is off by at most u times the partial sum that it gives,
where u is the unit roundoff of the arithmetic. Such errors behave like independent ones (Higham and Mary, "A new
approach to probabilistic rounding error analysis", SIAM J. Sci. Comput. 41(5), 2019), so together they stay below
4 * sqrt(n) * u times the partial sums; and since tests draw their values independently, those stay near
|sum| + sqrt(sum of squared products). Plain float32 uses up to a third of the bound, weights in half precision break it
many times over.
"""

from __future__ import annotations

import math

import numpy as np

from cnnrt.layer import Array
from cnnrt.rounding import FLOAT32, UNDERFLOW


def sum_bound(terms: int, exact: Array, squares: Array, unit: float = FLOAT32) -> Array:
    """Return the bound of sums of so many terms; `squares` are the sums of the squared terms, all float64."""
    return 4 * math.sqrt(terms) * unit * (np.abs(exact) + np.sqrt(squares)) + terms * UNDERFLOW
