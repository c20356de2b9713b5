"""Sizes of values while a graph computes with them: `tf.shape` and what follows until a reshape.

The batch is free, so its size is None here; everything else is a number.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np

from cnnrt.channels_last.constants import Constant, constant_of

_MOST = 64


@attrs.frozen
class ShapeNumbers:
    """Numbers of which at least one is the size of the batch (None); `scalar`: one number rather than a list of one."""

    values: tuple[int | None, ...]
    scalar: bool = False


def shape_numbers(values: Sequence[int | None], *, scalar: bool = False) -> ShapeNumbers | Constant:
    """Return numbers as a constant where none of them is the batch."""
    if None in values:
        return ShapeNumbers(tuple(values), scalar)
    array = np.array([n for n in values if n is not None], np.int64)
    return constant_of(array.reshape(()) if scalar else array)


def numbers_of(given: object) -> tuple[int | None, ...] | None:
    """Return what is known to be a short list of integers (or a single one), else None."""
    if isinstance(given, ShapeNumbers):
        return given.values
    if isinstance(given, Constant) and given.kind == "integer" and len(given.shape) <= 1 and given.count <= _MOST:
        return tuple(int(n) for n in given.array().reshape(-1))
    return None


def is_scalar(given: object) -> bool:
    """Tell whether it is a single number rather than a list."""
    return given.scalar if isinstance(given, ShapeNumbers) else isinstance(given, Constant) and given.shape == ()
