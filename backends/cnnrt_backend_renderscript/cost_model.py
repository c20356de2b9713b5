"""How fast kernels are expected to be where nothing was measured: round figures for one core with vectors of 128 bits.

They rank this backend's kernels against one another; it is used only where it is asked for.
"""

from __future__ import annotations

PRODUCTS = 16e9
"""Multiply-adds a second, by register tiles."""
DOT_PRODUCTS = 6e9
"""The same where sums are made across a vector."""
PASS_SECONDS = 2.5e-10
"""Reading or writing one float32 that is partly in the cache."""
MEMORY_BYTES = 30e9
"""Bytes a second from main memory."""
LAUNCH_SECONDS = 2e-6


def pass_seconds(values: float) -> float:
    """Return the seconds of work that touches so many values once."""
    return LAUNCH_SECONDS + values * PASS_SECONDS


def product_seconds(products: float, weight_bytes: int, copied: int, rate: float = PRODUCTS) -> float:
    """Return the seconds of so many multiply-adds, or of reading the weights, and of copying so many values before."""
    return max(products / rate, weight_bytes / MEMORY_BYTES) + pass_seconds(2 * copied)
