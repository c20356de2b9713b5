"""From a file to a value: .npz, .npy and pickles become plain containers of `PickledArray`s and NumPy arrays.

An array of objects in a .npy or .npz is a pickle behind the header; it is read as data, like every pickle here.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from cnnrt.archives import Archive, archive_kind, open_archive, read_gzip
from cnnrt.errors import CnnrtError, ImportFailure, Problem
from cnnrt.layer import Array, Shape
from cnnrt.npy_file import read_npy_header, tolerant, why_unreadable
from cnnrt.pickles import read_pickle
from cnnrt_import_theano.theano_globals import theano_globals

NPY = b"\x93NUMPY"
LARGEST_FILE = 4 << 30
_LOOKED_AT = 1 << 16
_NAMES = (b"numpy", b"theano", b"lasagne")
_OF_OTHERS = (b"model_state", b"torch")
_FIRST = b"\x80(c]}"


@attrs.frozen(eq=False)
class StoredArray:
    """Numbers in a file, which are read when they are asked for."""

    shape: Shape
    dtype: np.dtype[Any]
    read: Callable[[], Array] = attrs.field(repr=False)


def is_ours(file: Path) -> bool:
    """Tell by a file's first bytes whether it is a .npy, a .npz or a pickle that names NumPy; raises nothing."""
    head = _head(file)
    if head.startswith(NPY):
        return True
    kind = archive_kind(file)
    if kind == "zip":
        return _holds_arrays(file)
    if kind == "tar.gz":
        try:
            head = read_gzip(file)[:_LOOKED_AT]
        except CnnrtError:
            return False
    return _is_pickle(head)


def _is_pickle(head: bytes) -> bool:
    named = any(name in head for name in _NAMES) and not any(name in head for name in _OF_OTHERS)
    return head[:1] in {bytes([c]) for c in _FIRST} and named


def _head(file: Path) -> bytes:
    try:
        if not file.is_file():
            return b""
        with file.open("rb") as stream:
            return stream.read(_LOOKED_AT)
    except (OSError, ValueError):
        return b""


def _holds_arrays(file: Path) -> bool:
    try:
        with open_archive(file) as archive:
            return bool(archive.sizes) and all(name.endswith(".npy") for name in archive.sizes)
    except CnnrtError:
        return False


def read_value(file: Path) -> Any:
    """Return what a file holds; arrays are checked against the bytes that are there. Raises ImportFailure."""
    try:
        if not file.is_file():
            raise ImportFailure([Problem("is no file")], file=str(file))
        if file.stat().st_size > LARGEST_FILE:
            raise ImportFailure([Problem("is too large", expected="4 GiB at most")], file=str(file))
        kind = archive_kind(file)
        if kind == "zip":
            return _read_npz(file)
        data = read_gzip(file) if kind == "tar.gz" else file.read_bytes()
    except (OSError, ValueError) as error:
        raise ImportFailure([Problem(f"cannot be read: {error}")], file=str(file)) from error
    if data.startswith(NPY):
        return _read_npy(data, str(file))
    return read_pickle(data, file=str(file), known=theano_globals).value


def _read_npz(file: Path) -> dict[str, Any]:
    with open_archive(file) as archive:
        return {
            name.removesuffix(".npy"): _member(file, archive, name) for name in archive.sizes if name.endswith(".npy")
        }


def _member(file: Path, archive: Archive, name: str) -> Any:
    """Return an array of an archive: one of numbers is looked through now, and read anew when it is asked for."""
    found = _read_npy(archive.read(name), f"{file}, {name}")
    if not isinstance(found, np.ndarray):
        return found

    def read() -> Array:
        with open_archive(file) as again:
            return np.asarray(_read_npy(again.read(name), f"{file}, {name}"))

    return StoredArray(found.shape, found.dtype, read)


def _read_npy(data: bytes, file: str) -> Any:
    stream = io.BytesIO(data)
    try:
        with tolerant():
            header = read_npy_header(stream, objects=True)
    # NumPy evaluates the header as a Python literal: depending on what that holds, anything may be raised.
    except Exception as error:
        raise ImportFailure([Problem(f"cannot be read as .npy: {why_unreadable(error)}")], file=file) from error
    if header.dtype == np.dtype(object):
        return read_pickle(data, file=file, known=theano_globals, start=header.offset).value
    if header.nbytes != len(data) - header.offset:
        held = len(data) - header.offset
        raise ImportFailure(
            [Problem(f"holds {held:,} bytes of values; its header promises {header.nbytes:,}")], file=file
        )
    return np.frombuffer(data, header.dtype, offset=header.offset).reshape(header.shape, order=header.order)
