"""A number as the sum of two floats, which holds twice the digits: for kernels where one rounding would show."""

from __future__ import annotations

import numpy as np


def two_floats(value: float) -> tuple[float, float]:
    """Return the nearest float32, and the nearest one to what it lacks; 0 where it lacks nothing, or is no number."""
    with np.errstate(over="ignore"):
        near = float(np.float32(value))
        rest = float(np.float32(value - near))
    return near, rest if np.isfinite(rest) else 0.0
