"""Arrays cut out of the one piece of scratch memory that a kernel is given for a call."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import DTypeLike

from cnnrt.layer import Array, Shape

ALIGNMENT = 64
"""Bytes: a cache line, and the widest vector register."""

BLOCK_BYTES = 512 * 1024
"""What a kernel works on at a time: small enough to stay in the second-level cache of common processors."""


class Scratch:
    """The places of several arrays in one workspace, one after another, each on a cache line of its own.

    Built from shapes alone when a kernel is bound, so that `nbytes` states the workspace and `arrays` only makes views.
    """

    def __init__(self) -> None:
        self.nbytes = 0
        self._places: list[tuple[int, int, np.dtype[np.generic], Shape]] = []

    def add(self, shape: Shape, dtype: DTypeLike = np.float32) -> None:
        """Reserve room for one more array."""
        kind = np.dtype(dtype)
        size = math.prod(shape) * kind.itemsize
        self._places.append((self.nbytes, self.nbytes + size, kind, shape))
        self.nbytes += -(-size // ALIGNMENT) * ALIGNMENT

    def arrays(self, workspace: Array) -> list[Array]:
        """Return the arrays, uninitialised, as views of `workspace` (bytes), in the order in which they were added."""
        return [workspace[start:stop].view(kind).reshape(shape) for start, stop, kind, shape in self._places]
