"""A tensor in memory as three numbers: places before an axis, values along it, and how far they lie apart."""

from __future__ import annotations

import math

from cnnrt.layouts import PERMUTATIONS, physical_shape
from cnnrt.tensor import TensorType


def around_axis(tensor: TensorType, axis: int) -> tuple[int, int, int]:
    """Return the values before a (logical) axis, along it, and behind it, as they lie in memory."""
    place = axis % len(tensor.shape)
    order = PERMUTATIONS.get(tensor.layout)
    if order is not None:
        place = order.index(place)
    shape = physical_shape(tensor)
    return math.prod(shape[:place]), shape[place], math.prod(shape[place + 1 :])
