"""The normal distribution function of vectors, by the complementary error function.

erfc(z) = exp(-z**2) * t * P(t) for z >= 0, t = 2 / (2 + z). P was fitted on Chebyshev nodes, to 5e-8 of erfc wherever
float32 holds its values: small shares keep their digits.
"""

from __future__ import annotations

import math

from cnnrt_backend_threaded.emitter import Code, Value
from cnnrt_backend_threaded.exponential import exponential

COEFFICIENTS = (
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
"""Of P, from the highest power down."""


def normal_distribution(code: Code, x: Value) -> Value:
    """Return the share of a standard normal distribution below each value."""
    build = code.build
    z = build.fmul(code.absolute(x), code.constant(math.sqrt(0.5)))
    t = build.fdiv(code.constant(2.0), build.fadd(z, code.constant(2.0)))
    polynomial = code.constant(COEFFICIENTS[0])
    for coefficient in COEFFICIENTS[1:]:
        polynomial = code.multiply_add(polynomial, t, code.constant(coefficient))
    # Of x, not of the rounded z: the exponential turns a rounding of its argument into a relative error.
    powers = exponential(code, build.fmul(build.fmul(x, x), code.constant(-0.5)))
    outside = build.fmul(build.fmul(powers, code.constant(0.5)), build.fmul(t, polynomial))
    inside = build.fsub(code.constant(1.0), outside)
    return build.select(build.fcmp_ordered(">", x, code.zero()), inside, outside)
