"""HDF5 files, read by a process of their own (hdf5_child.py): a crash or a hang of it is an error here.

Its answer goes to a nameless temporary file, of which only what is looked up is read. It is taken for as hostile as
the file.
"""

from __future__ import annotations

import importlib.util
import json
import math
import mmap
import os
import struct
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import attrs
import numpy as np
from numpy.typing import NDArray

from cnnrt.channels_last.constants import Constant
from cnnrt.errors import CnnrtError, ImportFailure, Problem
from cnnrt.mapped_file import read_mapped
from cnnrt_import_keras.hdf5_child import ALIGNMENT, MOST_OBJECTS, MOST_TEXT

_SECONDS = 180
_DTYPES = frozenset({"<f2", "<f4", "<f8", "<i1", "|i1", "<i2", "<i4", "<i8", "|u1", "<u2", "<u4", "<u8"})
_SIGNATURE = b"\x89HDF\r\n\x1a\n"
MISSING = 'reading HDF5 needs the package h5py: pip install "cnnrt[keras]"'
_CHILD = Path(__file__).with_name("hdf5_child.py")


@attrs.frozen(eq=False)
class Hdf5:
    """What a file holds: texts by group and name (one or several), arrays by path."""

    attributes: Mapping[str, Mapping[str, str | tuple[str, ...]]]
    arrays: Mapping[str, Constant]


def h5py_is_missing() -> bool:
    """Tell whether h5py is not installed, without importing it."""
    return importlib.util.find_spec("h5py") is None


def read_hdf5(stream: IO[bytes], file: str) -> Hdf5:
    """Return the contents of an HDF5 file; `stream` is a file with a descriptor, `file` is its name in messages.

    Raises ImportFailure where it is damaged, or where reading it crashes, takes too long, or takes too much memory;
    CnnrtError where h5py is not installed.
    """
    stream.seek(0)
    if stream.read(len(_SIGNATURE)) != _SIGNATURE:
        raise failure(file, "not an HDF5 file", "give the .h5, .hdf5 or .keras file that Keras saved")
    if h5py_is_missing():
        raise CnnrtError(MISSING)
    stream.seek(0)
    with tempfile.TemporaryFile() as out:
        _run(stream, out, file)
        size = out.seek(0, os.SEEK_END)
        data = memoryview(mmap.mmap(out.fileno(), 0, access=mmap.ACCESS_READ)) if size else memoryview(b"")
    return read_answer(data, file)


def _run(stream: IO[bytes], out: IO[bytes], file: str) -> None:
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("HDF5_", "PYTHONSTARTUP", "LD_PRELOAD"))
    }
    # No filters from elsewhere, one thread, no lock files.
    environment |= {"HDF5_PLUGIN_PRELOAD": "::", "OPENBLAS_NUM_THREADS": "1", "HDF5_USE_FILE_LOCKING": "FALSE"}
    try:
        done = subprocess.run(
            [sys.executable, "-P", str(_CHILD)],
            stdin=stream,
            stdout=out,
            stderr=subprocess.DEVNULL,
            env=environment,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise failure(file, f"reading it took more than {_SECONDS} s", "it is damaged, or made to do that") from None
    except OSError as error:
        raise CnnrtError(f"{file}: the program that reads HDF5 cannot be started: {error}") from error
    if done.returncode:
        what = f"signal {-done.returncode}" if done.returncode < 0 else f"exit code {done.returncode}"
        raise failure(file, f"the HDF5 library failed on it ({what})", "it is damaged, or made to do that")


def read_answer(data: memoryview, file: str) -> Hdf5:
    """Return what the process found in a file; raises ImportFailure where its answer is an error, or makes no sense."""
    try:
        return _understood(data, file)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, struct.error, OverflowError):
        raise failure(file, "reading it gave an answer that makes no sense", "the file is damaged") from None


def _understood(data: memoryview, file: str) -> Hdf5:
    """Return the answer; raises ValueError and the like where it makes no sense."""
    (length,) = struct.unpack_from("<Q", data)
    if length > min(len(data) - 8, 8 * MOST_TEXT):
        raise ValueError(length)
    listed = json.loads(bytes(data[8 : 8 + length]))
    if "error" in listed:
        hint = "it is damaged, incomplete, or another kind of file"
        raise failure(file, f"cannot be read as HDF5: {str(listed['error'])[:300]!r}", hint)
    start = 8 + length
    if len(listed["datasets"]) > MOST_OBJECTS:
        raise ValueError("too many")
    arrays = {str(entry["path"]): _array(data, start, entry) for entry in listed["datasets"]}
    attributes = {
        str(group): {str(name): _texts(value) for name, value in texts.items()}
        for group, texts in listed["attributes"].items()
    }
    return Hdf5(attributes, arrays)


def _texts(value: Any) -> str | tuple[str, ...]:
    return tuple(str(v) for v in value) if isinstance(value, list) else str(value)


def _array(data: memoryview, start: int, entry: Mapping[str, Any]) -> Constant:
    shape = tuple(int(n) for n in entry["shape"])
    dtype, offset = str(entry["dtype"]), int(entry["offset"])
    if dtype not in _DTYPES or len(shape) > 32 or min(shape, default=1) < 0 or offset < 0 or offset % ALIGNMENT:
        raise ValueError(dtype)
    count = math.prod(shape)
    if start + offset + count * np.dtype(dtype).itemsize > len(data):
        raise ValueError("an array beyond the end")

    def read() -> NDArray[Any]:
        return read_mapped(data, dtype, count, start + offset)

    return Constant(str(entry["path"]), shape, "float" if np.dtype(dtype).kind == "f" else "integer", read)


def failure(file: str, message: str, hint: str = "") -> ImportFailure:
    """Return the error that one thing is wrong with a file."""
    return ImportFailure([Problem(message, hint=hint)], file=file)
