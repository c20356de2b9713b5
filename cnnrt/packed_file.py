"""Packed weights in the private cache, as a kernel reads them: read for each call without packing anything anew.

    the arrays, one after the other from multiples of 64 on, in the processor's byte order
    the header, JSON: the key, the container of the arrays, for each array its name, dtype, shape, rows of a slice,
        place, and for each slice a CRC-32
    the header's length, 8 bytes, little-endian; 8 bytes of magic

An array's slices lie side by side along its first axis. A file is written slice by slice, so that no more than one is
in memory, beside its place, and renamed. Whatever is wrong with it, it is as if it were not there.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from cnnrt.backend import Packed
from cnnrt.cached_file import UNFINISHED, open_cached
from cnnrt.layer import Array

log = logging.getLogger("cnnrt.cache")

MAGIC = b"cnnrt\x00p\x01"
ALIGNMENT = 64
MOST_HEADER = 16 << 20


class PackedFileError(Exception):
    """A packed file that cannot be used, or written; the reason."""


@attrs.frozen
class StoredArray:
    """An array of a packed file. `rows`: of one slice; `crcs`: for each slice."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    rows: int
    offset: int
    crcs: tuple[int, ...]

    @property
    def row_bytes(self) -> int:
        """Bytes of a row."""
        return int(np.prod(self.shape[1:], dtype=np.int64)) * np.dtype(self.dtype).itemsize

    def part(self, first: int, last: int) -> tuple[int, int]:
        """Return the first row of some slices, and how many they are."""
        start = first * self.rows
        return start, max(0, min(last * self.rows, self.shape[0]) - start)


@attrs.frozen
class PackedForm:
    """How a kernel's packed weights are made of arrays: nothing, one, a tuple or a dict of them."""

    container: str
    names: tuple[str, ...]

    @classmethod
    def of(cls, packed: Packed) -> tuple[PackedForm, list[Array]] | None:
        """Return the form and the arrays; None where they are something else."""
        if isinstance(packed, np.ndarray):
            form, arrays = cls("array", ("",)), [packed]
        elif isinstance(packed, tuple) and type(packed) is tuple:
            form, arrays = cls("tuple", tuple(str(i) for i in range(len(packed)))), list(packed)
        elif type(packed) is dict and all(isinstance(name, str) for name in packed):
            form, arrays = cls("dict", tuple(packed)), list(packed.values())
        else:
            return None
        if not all(isinstance(a, np.ndarray) and a.dtype.kind in "fiub" and a.ndim for a in arrays):
            return None
        return form, arrays

    def join(self, arrays: list[Array]) -> Packed:
        """Return packed weights of these arrays."""
        if self.container == "array":
            return arrays[0]
        return tuple(arrays) if self.container == "tuple" else dict(zip(self.names, arrays, strict=True))


class PackedFile:
    """A packed file whose header was read. No file stays open between two reads; slices are verified at their first."""

    def __init__(self, path: Path, key: str, slices: int) -> None:
        """Read the header. Raises PackedFileError."""
        self.path = path
        self.slices = slices
        descriptor = self._open()
        try:
            self._stamp = _stamp(descriptor)
            self._form, self._arrays = _read_header(descriptor, key, slices)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise PackedFileError(f"{path}: {error}") from error
        finally:
            os.close(descriptor)
        self._verified: set[int] = set()

    def read(self, first: int, last: int, buffer: Array) -> Packed:
        """Return slices `first` to before `last`, read into the start of a buffer of bytes that begins on a cache line.

        Raises PackedFileError where the file is gone, another, or damaged.
        """
        descriptor = self._open()
        try:
            if _stamp(descriptor) != self._stamp:
                raise PackedFileError(f"{self.path} was replaced")
            arrays, at = [], 0
            for stored in self._arrays:
                start, count = stored.part(first, last)
                nbytes = count * stored.row_bytes
                target = buffer[at : at + nbytes]
                _read_into(descriptor, stored.offset + start * stored.row_bytes, target)
                self._verify(stored, first, last, target)
                arrays.append(target.view(stored.dtype).reshape(count, *stored.shape[1:]))
                at = _aligned(at + nbytes)
        except OSError as error:
            raise PackedFileError(f"{self.path}: {error.strerror or error}") from error
        finally:
            os.close(descriptor)
        self._verified.update(range(first, last))
        return self._form.join(arrays)

    def _verify(self, stored: StoredArray, first: int, last: int, read: Array) -> None:
        size = stored.rows * stored.row_bytes
        for number in range(first, last):
            own = read[(number - first) * size : (number - first + 1) * size]
            if number not in self._verified and zlib.crc32(own.data) != stored.crcs[number]:
                raise PackedFileError(f"{self.path} is damaged")

    def _open(self) -> int:
        descriptor = open_cached(self.path)
        if descriptor is None:
            raise PackedFileError(f"{self.path} is not there")
        return descriptor


def write_packed(
    path: Path,
    key: str,
    slices: int,
    at_once: int,
    pack: Callable[[int, int], Packed],
    check: Callable[[], None],
) -> None:
    """Write the packed weights of all slices, `at_once` of them at a time; `pack(first, last)` gives them.

    `check` is called before the file is put in its place, and may raise whatever speaks against that.

    Raises PackedFileError where the system refuses or the kernel packs what is no array; nothing is left then.
    """
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}{UNFINISHED}")
    try:
        try:
            with beside.open("xb") as stream:
                beside.chmod(0o600)
                header = _write_slices(stream, slices, at_once, pack)
                text = json.dumps({"key": key, "slices": slices, **header}, separators=(",", ":")).encode()
                stream.seek(0, os.SEEK_END)
                stream.write(text + len(text).to_bytes(8, "little") + MAGIC)
            check()
            beside.replace(path)
        except BaseException:
            with suppress(OSError):
                beside.unlink()
            raise
    except OSError as error:
        raise PackedFileError(f"{path.parent}: {error.strerror or error}") from error


def _write_slices(stream: Any, slices: int, at_once: int, pack: Callable[[int, int], Packed]) -> dict[str, Any]:
    form: PackedForm | None = None
    described: list[dict[str, Any]] = []
    for first in range(0, slices, at_once):
        last = min(first + at_once, slices)
        found = PackedForm.of(pack(first, last))
        if found is None or (form is not None and form != found[0]):
            raise PackedFileError("the kernel packs weights that are no plain arrays")
        form, arrays = found
        if not described:
            described = _places(form, arrays, slices, last - first)
        for array, entry in zip(arrays, described, strict=True):
            _write_array(stream, np.ascontiguousarray(array), entry, first, last)
    if form is None:
        raise PackedFileError("there are no slices")
    return {"container": form.container, "arrays": described}


def _places(form: PackedForm, arrays: list[Array], slices: int, packed: int) -> list[dict[str, Any]]:
    """Return the entries of the header, with room for all slices."""
    entries, at = [], 0
    for name, array in zip(form.names, arrays, strict=True):
        rows = -(-array.shape[0] // packed)
        entries.append(
            {
                "name": name,
                "dtype": array.dtype.str,
                "shape": [0, *array.shape[1:]],
                "rows": rows,
                "offset": at,
                "crcs": [],
            }
        )
        row_bytes = array.nbytes // array.shape[0] if array.shape[0] else 0
        at = _aligned(at + slices * rows * row_bytes)
    return entries


def _write_array(stream: Any, array: Array, entry: dict[str, Any], first: int, last: int) -> None:
    raw = array.reshape(-1).view(np.uint8)
    row_bytes = array.nbytes // array.shape[0] if array.shape[0] else 0
    stream.seek(entry["offset"] + first * entry["rows"] * row_bytes)
    stream.write(raw.data)
    size = entry["rows"] * row_bytes
    entry["shape"][0] += array.shape[0]
    entry["crcs"] += [zlib.crc32(raw[i * size : (i + 1) * size].data) for i in range(last - first)]


def _read_header(descriptor: int, key: str, slices: int) -> tuple[PackedForm, tuple[StoredArray, ...]]:
    size = os.fstat(descriptor).st_size
    tail = _read(descriptor, size - 16, 16) if size >= 16 else b""
    length = int.from_bytes(tail[:8], "little")
    if tail[8:] != MAGIC or not 0 < length <= min(MOST_HEADER, size - 16):
        raise ValueError("it is not a file of packed weights")
    header = json.loads(_read(descriptor, size - 16 - length, length))
    if not isinstance(header, Mapping) or (header["key"], header["slices"]) != (key, slices):
        raise ValueError("it holds other weights")
    arrays = tuple(
        StoredArray(e["name"], e["dtype"], tuple(e["shape"]), e["rows"], e["offset"], tuple(e["crcs"]))
        for e in header["arrays"]
    )
    for array in arrays:
        whole = array.shape[0] * array.row_bytes
        if min(array.offset, whole, array.rows) < 0 or array.offset + whole > size or len(array.crcs) != slices:
            raise ValueError("its header is damaged")
    return PackedForm(header["container"], tuple(a.name for a in arrays)), arrays


def _read_into(descriptor: int, offset: int, target: Array) -> None:
    """Fill an array of bytes from a place of the file."""
    view = target.data
    done = 0
    with FileIO(descriptor, "rb", closefd=False) as stream:
        stream.seek(offset)
        while done < target.nbytes:
            count = stream.readinto(view[done:])
            if not count:
                raise OSError("the file ends too early")
            done += count


def _read(descriptor: int, offset: int, count: int) -> bytes:
    found = np.empty(count, np.uint8)
    _read_into(descriptor, offset, found)
    return found.tobytes()


def _stamp(descriptor: int) -> tuple[int, ...]:
    found = os.fstat(descriptor)
    return found.st_dev, found.st_ino, found.st_size


def _aligned(nbytes: int) -> int:
    return -(-nbytes // ALIGNMENT) * ALIGNMENT
