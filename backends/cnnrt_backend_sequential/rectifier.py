"""ReLU on a block that has just been computed, while it is still in the cache."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np

from cnnrt.layer import Array, Shape
from cnnrt.layer_call import LayerCall
from cnnrt_backend_sequential.workspace import BLOCK_BYTES

if TYPE_CHECKING:
    from cnnrt_layers.relu import ReLU

FOLDS = ("ReLU",)
"""The element-wise layers that kernels of this backend apply on the way out."""

_ZEROS = np.zeros(32768, np.float32)
"""NumPy vectorises the maximum of two arrays, but not of an array and a number: 0.2 instead of 0.46 ns a value."""


def folded_slope(call: LayerCall) -> float | None:
    """Return the negative slope of the ReLUs folded into a call, None where there are none.

    Two of them, slope a before slope b, are one with slope a * b, or with a where that makes negative values positive.
    """
    slope: float | None = None
    for layer in call.folded:
        own = cast("ReLU", layer).negative_slope
        slope = own if slope is None else (slope * own if slope > 0 else slope)
    return slope


def needs_scratch(slope: float | None) -> bool:
    """Tell whether `rectify_in_place` wants a second block: only a leaky ReLU does."""
    return slope is not None and slope != 0


def rectify(x: Array, slope: float, out: Array) -> None:
    """Write x where it is positive and slope * x elsewhere; `out` must not be `x` unless the slope is 0."""
    if slope == 0:
        length = x.shape[-1] if x.ndim else 0
        np.maximum(x, _ZEROS[:length] if 0 < length <= _ZEROS.size else 0, out=out)
        return
    np.multiply(x, slope, out=out)
    _select(slope)(x, out, out=out)


def rows_at_once(rows: int, columns: int) -> Shape:
    """Return the shape of a scratch for `rectify_in_place` on (rows, columns): as many rows as stay in the cache."""
    return max(1, min(rows, BLOCK_BYTES // (4 * max(1, columns)))), columns


def rectify_in_place(block: Array, slope: float | None, scratch: Array | None) -> None:
    """Apply a folded ReLU to `block`.

    `scratch` is used where `needs_scratch` says so: of the same shape, but it may have fewer rows.
    """
    if slope is None:
        return
    if slope == 0:
        rectify(block, 0, block)
        return
    assert scratch is not None
    for first in range(0, len(block), len(scratch)):
        rows = block[first : first + len(scratch)]
        scaled = np.multiply(rows, slope, out=scratch[: len(rows)])
        _select(slope)(rows, scaled, out=rows)


def _select(slope: float) -> np.ufunc:
    """Return what chooses between x and slope * x: the larger is right up to a slope of 1, beyond it the smaller."""
    return np.maximum if slope <= 1 else np.minimum
