"""Numbers of a mapped file: copied out, and their pages let go of.

A page of a mapped file counts as the process's own memory from when it is looked at until it is let go of, though the
system keeps it in its cache either way. A conversion that walks through a model's file would seem to hold all of it.
"""

from __future__ import annotations

import mmap
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

_BLOCK = 1 << 22


def read_mapped(file: memoryview, dtype: DTypeLike, count: int, start: int) -> NDArray[Any]:
    """Return `count` numbers of a type from byte `start` on; the array belongs to the caller.

    Raises ValueError where the file ends before that.
    """
    stored = np.frombuffer(file, dtype, count, start)
    values = np.empty_like(stored)
    step = max(1, _BLOCK // values.itemsize)
    for first in range(0, count, step):
        values[first : first + step] = stored[first : first + step]
        let_go(file, start + first * values.itemsize, start + min(first + step, count) * values.itemsize)
    return values


def let_go(file: memoryview, start: int, end: int) -> None:
    """Let go of the pages between two offsets; nothing happens where `file` is no mapped file."""
    if isinstance(file.obj, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        first, last = start // mmap.PAGESIZE, -(-end // mmap.PAGESIZE)  # what is still needed is looked up again
        if first < last:
            file.obj.madvise(mmap.MADV_DONTNEED, first * mmap.PAGESIZE, (last - first) * mmap.PAGESIZE)
