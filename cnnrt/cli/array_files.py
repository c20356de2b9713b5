"""Arrays from .npz files, and arrays to files. Nothing is unpickled, and an archive's sizes are checked beforehand."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from cnnrt.errors import InputError
from cnnrt.layer import Array
from cnnrt.npy_file import read_npy_header, tolerant, why_unreadable
from netfile_spec.parameters.written_beside import written_beside

LARGEST_RATIO = 20
"""Times an archive may grow when it is unpacked; numbers hardly reach 3, a bomb reaches 1000."""

ALWAYS_ALLOWED = 64 << 20
"""Bytes to which any archive may grow: small arrays of zeros compress without bound."""

MOST_ARRAYS = 1000
"""Arrays of an archive; a network has one or a few inputs."""


def read_npz(path: Path) -> dict[str, Array]:
    """Return the arrays of a .npz file by name.

    Raises InputError for anything else, for sizes that do not fit, and for archives that grow beyond measure.
    """
    try:
        if path.exists() and not path.is_file():
            raise InputError(f"{path}: is not a regular file")
        with tolerant(), zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if len(members) > MOST_ARRAYS:
                raise InputError(f"{path}: holds more than {MOST_ARRAYS:,} arrays")
            _check_growth(path, sum(member.file_size for member in members))
            return {m.filename.removesuffix(".npy"): _read_member(path, archive, m) for m in members}
    except InputError:
        raise
    except zipfile.BadZipFile as error:
        expected = "expected an archive of arrays, as numpy.savez writes it"
        raise InputError(f"{path}: cannot be read as .npz: it is damaged, or no .npz; {expected}") from error
    # zipfile, zlib and NumPy's header, which is evaluated as a Python literal, have errors of many types.
    except Exception as error:
        raise InputError(f"{path}: cannot be read as .npz: {why_unreadable(error)}") from error


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


def _check_growth(path: Path, nbytes: int) -> None:
    # All members together: in a crafted archive they may share the same compressed bytes.
    size = path.stat().st_size
    if nbytes > max(ALWAYS_ALLOWED, LARGEST_RATIO * size):
        raise InputError(
            f"{path}: its {size:,} bytes would grow to {nbytes:,}, more than {LARGEST_RATIO} times as many: if that is "
            "meant, save the arrays without compression (numpy.savez)"
        )


def _read_member(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Array:
    """Return a member's array, after comparing what its header says with the bytes that are there."""
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise InputError(f"{path}: {member.filename}: compressed in a way that numpy.savez never uses")
    with archive.open(member) as stream:
        header = read_npy_header(stream)
    if header.nbytes > member.file_size:
        raise InputError(f"{path}: {member.filename}: holds less than its header's shape {header.shape}")
    with archive.open(member) as stream:
        return np.asarray(np.lib.format.read_array(stream, allow_pickle=False))
