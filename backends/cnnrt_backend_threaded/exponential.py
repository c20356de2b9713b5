"""The exponential function of values that are not positive, in vectors.

As in Cephes (S. Moshier, expf.c): e**x = 2**n * e**r, where n is x / log 2 rounded and r what remains, at most
log(2) / 2 either way; e**r by a polynomial of degree 7. The error is at most about two roundings.
"""

from __future__ import annotations

import math

from cnnrt_backend_threaded.emitter import Code, Value
from cnnrt_backend_threaded.llvm import llvm

LOWEST = -87.33654
"""Just above the logarithm of the smallest normal float32: below, 0 is given."""
ROUND = 1.5 * 2.0**23
"""Added to a small number, it leaves the nearest integer in the last bits of the sum."""
LOG_2_HIGH, LOG_2_LOW = 0.693359375, -2.12194440e-4
"""Their sum is log 2; the first has so few bits that its product with n is exact."""
COEFFICIENTS = (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1)


def exponential(code: Code, x: Value) -> Value:
    """Return e**x for x <= 0, or not a number where x is none."""
    build = code.build
    lowest = code.constant(LOWEST)
    bounded = build.select(build.fcmp_ordered("<", x, lowest), lowest, x)
    shifted = build.fadd(build.fmul(bounded, code.constant(1 / math.log(2))), code.constant(ROUND))
    n = build.fsub(shifted, code.constant(ROUND))
    r = code.multiply_add(n, code.constant(-LOG_2_HIGH), bounded)
    r = code.multiply_add(n, code.constant(-LOG_2_LOW), r)
    polynomial = code.constant(COEFFICIENTS[0])
    for coefficient in COEFFICIENTS[1:]:
        polynomial = code.multiply_add(polynomial, r, code.constant(coefficient))
    value = build.fadd(code.multiply_add(polynomial, build.fmul(r, r), r), code.constant(1.0))

    integers = llvm.ir.VectorType(llvm.ir.IntType(32), code.lanes)
    # The integer n in the last bits of `shifted`, moved to the exponent's place: multiplies by 2**n.
    exponent = build.shl(
        build.bitcast(shifted, integers), llvm.ir.Constant(integers, [llvm.ir.IntType(32)(23)] * code.lanes)
    )
    scaled = build.bitcast(build.add(build.bitcast(value, integers), exponent), code.vector)
    too_low = build.fcmp_ordered("<", x, lowest)
    unknown = build.fcmp_unordered("uno", x, x)
    return build.select(unknown, x, build.select(too_low, code.zero(), scaled))
