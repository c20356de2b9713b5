"""Arrays from .npy files, which may be hostile: nothing is unpickled, and nothing is allocated for a header alone."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Literal

import attrs
import numpy as np

from cnnrt.errors import InputError
from cnnrt.layer import Array, Shape

_MAGIC = np.lib.format.MAGIC_PREFIX
_LARGEST_ARRAY = 1 << 62
"""Bytes that no array may have, also with 1 in place of each 0 of its shape and with numbers of 8 bytes."""


@attrs.frozen
class NpyHeader:
    """What a .npy file says of its array; `order` as NumPy calls it, `offset` is where the values begin."""

    shape: Shape
    dtype: np.dtype[np.generic]
    order: Literal["C", "F"]
    offset: int

    @property
    def nbytes(self) -> int:
        """Bytes of the values."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_npy(path: Path) -> Array:
    """Return the array of numbers in a .npy file, mapped read-only: a header larger than the file allocates nothing.

    Raises InputError for a path that is no regular file and for whatever is no array of .npy's format.
    """
    try:
        # A pipe or device would block, or never end.
        if path.exists() and not path.is_file():
            raise InputError(f"{path}: is not a regular file")
        with tolerant():
            with path.open("rb") as stream:
                header = read_npy_header(stream)
                held = stream.seek(0, os.SEEK_END) - header.offset
            if held < header.nbytes:
                raise ValueError(f"it is truncated: its array takes {header.nbytes:,} bytes, and {held:,} are there")
            return np.asarray(np.memmap(path, header.dtype, "r", header.offset, header.shape, header.order))
    except InputError:
        raise
    # NumPy evaluates the header as a Python literal: depending on what that holds, anything may be raised.
    except Exception as error:
        raise InputError(f"{path}: cannot be read as .npy: {why_unreadable(error)}") from error


def read_npy_header(stream: IO[bytes], *, objects: bool = False) -> NpyHeader:
    """Return the header at the beginning of a stream; ValueError, and what NumPy raises, where it is of no numbers.

    `objects`: arrays of objects are allowed as well; behind their header lies a pickle.

    It is checked here because NumPy (2.4) believes it: an item size of 0 with a negative size ends the process.
    """
    beginning = stream.read(len(_MAGIC) + 2)
    if not beginning.startswith(_MAGIC) or len(beginning) < len(_MAGIC) + 2:
        raise ValueError("it does not begin as a .npy file does" if beginning else "the file is empty")
    version = (beginning[-2], beginning[-1])
    if version not in ((1, 0), (2, 0), (3, 0)):
        raise ValueError(f"the format's version is {version}; known: 1.0 to 3.0")
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran_order, dtype = read_header(stream)
    if dtype.kind not in "biufc" and not (objects and dtype == np.dtype(object)):
        raise ValueError(f"expected an array of numbers, got {dtype}")
    if not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError(f"{shape} is no shape")
    if math.prod(max(n, 1) for n in shape) * max(dtype.itemsize, 8) > _LARGEST_ARRAY:
        raise ValueError(f"no array can have the shape {shape}")
    return NpyHeader(shape, dtype, "F" if fortran_order else "C", stream.tell())


@contextmanager
def tolerant() -> Iterator[None]:
    """Keep quiet about odd headers: NumPy and Python's parser warn of what is then read, or refused, all the same."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def why_unreadable(error: BaseException) -> str:
    """Return the reason in an error of NumPy or the operating system, for a message."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
