"""Arrays that start on a cache line."""

from __future__ import annotations

import math

import numpy as np

from cnnrt.layer import Array, Shape

ALIGNMENT = 64
"""Bytes: a cache line, and the widest vector register of today's processors."""


def aligned_floats(shape: Shape) -> Array:
    """Return an uninitialised float32 array."""
    return _aligned(4 * math.prod(shape)).view(np.float32).reshape(shape)


def aligned_words(count: int) -> Array:
    """Return `count` 64-bit integers, all 0."""
    words = _aligned(8 * count).view(np.int64)
    words[...] = 0
    return words


def _aligned(nbytes: int) -> Array:
    raw = np.empty(nbytes + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + nbytes]
