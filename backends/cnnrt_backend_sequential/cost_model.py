"""How fast one thread is expected to be: rates from which the kernels estimate their time.

They rank kernels against each other where nothing has been measured. Round figures, measured on one core of a 2024
server processor (AMD Zen 5, AVX-512) with NumPy's OpenBLAS: layers of AlexNet, VGG and MobileNet come out at 0.6 to 1.5
times their measured time there. On another processor they are off by about the same factor for all kernels.
"""

from __future__ import annotations

GEMM_FLOPS = 180e9
"""Floating-point operations a second of a matrix product with all three sides above about 100."""

SMALL_SIDE = 12.0
"""A side of n elements runs a matrix product at n / (n + SMALL_SIDE) of its full rate: partly filled tiles."""

MEMORY_BYTES = 25e9
"""Bytes a second read from main memory, as by a matrix-vector product."""

PASS_SECONDS = 1e-10
"""Cost of copying one float32 within the cache. Adding two arrays costs about as much, ReLU twice as much."""

RUN_SECONDS = 8e-9
"""Cost of each contiguous run of a strided copy, beside its values."""

CALL_SECONDS = 1.1e-6
"""Cost of one NumPy call on views made for it."""


def product_seconds(rows: int, inner: int, columns: int) -> float:
    """Return the seconds of a matrix product (rows × inner) @ (inner × columns) in the cache.

    With a single row or column it is bound by reading the matrix once.
    """
    if rows == 1 or columns == 1:
        return CALL_SECONDS + rows * inner * columns * PASS_SECONDS
    filled = 1.0
    for side in (rows, inner, columns):
        filled *= side / (side + SMALL_SIDE)
    return CALL_SECONDS + 2.0 * rows * inner * columns / (GEMM_FLOPS * filled) if filled else CALL_SECONDS


def passes_seconds(values: int, passes: float, calls: int = 1) -> float:
    """Return the seconds of element-wise work as much as copying `values` float32 `passes` times in `calls` calls."""
    return calls * CALL_SECONDS + values * passes * PASS_SECONDS
