"""Arrays from .npy and .npz files. Nothing is unpickled, and no header makes us allocate what the file cannot hold."""

from __future__ import annotations

import math
import tokenize
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from cnnrt.errors import InputError
from cnnrt.layer import Array
from netfile_spec.parameters.written_beside import written_beside

_UNREADABLE = (OSError, ValueError, EOFError, SyntaxError, tokenize.TokenError, zipfile.BadZipFile, NotImplementedError)

_MAGIC = np.lib.format.MAGIC_PREFIX

_LARGEST_RATIO = 1032
"""Deflate makes nothing smaller than this (zlib's technical notes, "Maximum Compression Factor")."""


def read_npy(path: Path) -> Array:
    """Return the array in a .npy file, mapped, so that a header larger than the file allocates nothing."""
    try:
        with path.open("rb") as stream:
            if stream.read(len(_MAGIC)) != _MAGIC:
                raise ValueError("it does not begin as a .npy file does")
        return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    except _UNREADABLE as error:
        raise InputError(f"{path}: cannot be read as .npy: {_reason(error)}") from error


def read_npz(path: Path) -> dict[str, Array]:
    """Return the arrays of a .npz file by name. Raises InputError for anything else, and for sizes that do not fit."""
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                _check_member(path, archive, member)
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except _UNREADABLE as error:
        raise InputError(f"{path}: cannot be read as .npz: {_reason(error)}") from error


def write_array(path: Path, array: Array) -> None:
    """Write an array as .npy; the file appears whole or not at all."""
    with written_beside(path) as stream:
        np.save(stream, array, allow_pickle=False)


def write_arrays(path: Path, arrays: Mapping[str, Array]) -> None:
    """Write arrays by name as .npz; the file appears whole or not at all."""
    with written_beside(path) as stream, zipfile.ZipFile(stream, "w") as archive:
        # Not numpy.savez: it takes names as keyword arguments, and "file" is one of its own.
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def _check_member(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    """Compare what an array's header says with the bytes that are there."""
    if member.file_size > _LARGEST_RATIO * max(member.compress_size, 1):
        raise InputError(f"{path}: {member.filename}: its {member.compress_size} bytes cannot hold {member.file_size}")
    with archive.open(member) as stream:
        version = np.lib.format.read_magic(stream)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read_header(stream)
    if math.prod(shape) * dtype.itemsize > member.file_size:
        raise InputError(f"{path}: {member.filename}: holds less than its header's shape {shape}")


def _reason(error: BaseException) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
