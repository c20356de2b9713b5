"""Numbers of a mapped file: copied out, or looked at in place, and their pages let go of.

A page of a mapped file counts as the process's own memory from when it is looked at until it is let go of, though the
system keeps it in its cache either way. A conversion that walks through a model's file would seem to hold all of it.
"""

from __future__ import annotations

import mmap
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

HUGE_PAGE = 2 << 20
"""Bytes of the pages in which a file may be mapped. Where the processor's are larger, they are not asked for."""
_HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size")
_BLOCK = 1 << 22


def map_to_read(descriptor: int) -> memoryview:
    """Return a file as a map that can only be read, in huge pages where the system has such. Raises OSError.

    They save more than the looking-up: in pages of 4 KiB, what a kernel fetches ahead of its use is not there yet, and
    is not fetched. Whatever reads the file first decides: its pages in the system's cache stay as they came.
    """
    try:
        file = mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
    except ValueError as error:
        raise OSError(str(error)) from error  # an empty file
    with suppress(OSError, ValueError):
        if hasattr(mmap, "MADV_HUGEPAGE") and int(_HUGE_PAGES.read_bytes()) == HUGE_PAGE:
            file.madvise(mmap.MADV_HUGEPAGE)
    return memoryview(file)


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


def let_go(file: memoryview, start: int, end: int, page: int = mmap.PAGESIZE) -> None:
    """Let go of the pages between two offsets; nothing happens where `file` is no mapped file."""
    if isinstance(file.obj, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        first, last = start // page * page, min(-(-end // page) * page, file.nbytes)
        if first < last:  # what is still needed is looked up again
            file.obj.madvise(mmap.MADV_DONTNEED, first, last - first)
