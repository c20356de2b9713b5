"""Where an axis lies in memory."""

from __future__ import annotations

from cnnrt.layouts import PERMUTATIONS
from cnnrt.tensor import TensorType


def physical_axis(tensor: TensorType, axis: int) -> int:
    """Return where a (possibly negative) logical axis stands in the order of memory."""
    axis %= len(tensor.shape)
    order = PERMUTATIONS.get(tensor.layout)
    return axis if order is None else order.index(axis)
