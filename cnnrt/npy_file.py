"""Arrays from .npy files, which may be hostile: nothing is unpickled, and nothing is allocated for a header alone."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from cnnrt.errors import InputError
from cnnrt.layer import Array


def read_npy(path: Path) -> Array:
    """Return the array in a .npy file, mapped read-only, so that a header larger than the file allocates nothing.

    Raises InputError for a path that is no regular file and for whatever is no array of .npy's format.
    """
    try:
        # A pipe or device would block, or never end.
        if path.exists() and not path.is_file():
            raise InputError(f"{path}: is not a regular file")
        with tolerant():
            return np.asarray(np.lib.format.open_memmap(path, mode="r"))
    except InputError:
        raise
    # NumPy evaluates the header as a Python literal: depending on what that holds, anything may be raised.
    except Exception as error:
        raise InputError(f"{path}: cannot be read as .npy: {why_unreadable(error)}") from error


@contextmanager
def tolerant() -> Iterator[None]:
    """Keep quiet about odd headers: NumPy and Python's parser warn of what is then read, or refused, all the same."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def why_unreadable(error: BaseException) -> str:
    """Return the reason in an error of NumPy or the operating system, for a message."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
