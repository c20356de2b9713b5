"""Packed weights in the private cache, as a kernel reads them: read for each call without packing anything anew.

    the arrays, one after the other from multiples of 64 on, in the processor's byte order
    the header, JSON: the key, the container of the arrays, for each array its name, dtype, shape, rows of a slice,
        place, and for each slice a CRC-32
    the header's length, 8 bytes, little-endian; 8 bytes of magic

An array's slices lie side by side along its first axis. Kernels look at them where the system keeps the file, in its
cache, or they are read into a buffer. Whatever is wrong with a file, it is as if it were not there.
`packed_file_writer.py` writes them.
"""

from __future__ import annotations

import json
import logging
import os
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

import attrs
import numpy as np

from cnnrt.backend import Packed
from cnnrt.cached_file import open_cached
from cnnrt.file_lease import lease_stands, leased
from cnnrt.layer import Array
from cnnrt.mapped_file import HUGE_PAGE, let_go, map_to_read

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

    def span(self, first: int, last: int) -> tuple[int, int]:
        """Return where some slices begin in the file, and where they end."""
        start, end = (min(number * self.rows, self.shape[0]) for number in (first, last))
        return self.offset + start * self.row_bytes, self.offset + end * self.row_bytes


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
    """A packed file whose header was read. Slices are verified at their first use."""

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
        self._map: memoryview | None = None

    def read(self, first: int, last: int, buffer: Array) -> Packed:
        """Return slices `first` to before `last`, read into the start of a buffer of bytes that begins on a cache line.

        Raises PackedFileError where the file is gone, another, or damaged.
        """
        arrays, at = [], 0
        with self._opened() as descriptor:
            for stored in self._arrays:
                start, end = stored.span(first, last)
                target = buffer[at : at + end - start]
                _read_into(descriptor, start, target)
                arrays.append(self._array(stored, first, last, target))
                at = aligned(at + end - start)
        self._verified.update(range(first, last))
        return self._form.join(arrays)

    @contextmanager
    def held(self) -> Iterator[HeldFile]:
        """Keep the file as it is inside the block, and give what shows its slices in place.

        Raises PackedFileError where that cannot be, or the file is gone, or another.
        """
        with self._opened() as descriptor, leased(descriptor):
            if _stamp(descriptor) != self._stamp:  # once more: from here on nobody cuts it short
                raise PackedFileError(f"{self.path} was replaced")
            if self._map is None:
                self._map = map_to_read(descriptor)
            yield HeldFile(self, descriptor, self._map)

    def show(self, first: int, last: int, file: memoryview) -> Packed:
        """Return slices where they lie in the mapped file, see `HeldFile.slices`."""
        arrays = []
        for stored in self._arrays:
            start, end = stored.span(first, last)
            arrays.append(self._array(stored, first, last, np.frombuffer(file, np.uint8, end - start, start)))
        self._verified.update(range(first, last))
        return self._form.join(arrays)

    def let_go(self, first: int, last: int, file: memoryview) -> None:
        """Give back the pages of slices: whole huge ones, in which the system may have mapped the first and last."""
        for stored in self._arrays:
            let_go(file, *stored.span(first, last), HUGE_PAGE)

    def _array(self, stored: StoredArray, first: int, last: int, raw: Array) -> Array:
        """Return bytes as the array that they are; verifies what nobody saw yet."""
        size = stored.rows * stored.row_bytes
        for number in range(first, last):
            own = raw[(number - first) * size : (number - first + 1) * size]
            if number not in self._verified and zlib.crc32(own.data) != stored.crcs[number]:
                raise PackedFileError(f"{self.path} is damaged")
        rows = max(0, min(last * stored.rows, stored.shape[0]) - first * stored.rows)
        return raw.view(stored.dtype).reshape(rows, *stored.shape[1:])

    @contextmanager
    def _opened(self) -> Iterator[int]:
        """Give a descriptor of the same file; what the system refuses inside the block is a PackedFileError."""
        descriptor = self._open()
        try:
            if _stamp(descriptor) != self._stamp:
                raise PackedFileError(f"{self.path} was replaced")
            yield descriptor
        except OSError as error:
            raise PackedFileError(f"{self.path}: {error.strerror or error}") from error
        finally:
            os.close(descriptor)

    def _open(self) -> int:
        descriptor = open_cached(self.path)
        if descriptor is None:
            raise PackedFileError(f"{self.path} is not there")
        return descriptor


@attrs.frozen
class HeldFile:
    """A packed file under a lease, and its map."""

    file: PackedFile
    descriptor: int
    map: memoryview

    @contextmanager
    def slices(self, first: int, last: int) -> Iterator[Packed]:
        """Give slices `first` to before `last`, to be looked at inside the block; then their pages are given back.

        Raises PackedFileError where they are damaged, or somebody waits to write to the file.
        """
        if not lease_stands(self.descriptor):
            raise PackedFileError(f"{self.file.path} is about to be written to")
        try:
            yield self.file.show(first, last, self.map)
        finally:
            self.file.let_go(first, last, self.map)


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
        wrong = array.offset % ALIGNMENT or min(array.offset, whole, array.rows) < 0
        if wrong or array.offset + whole > size or len(array.crcs) != slices:
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


def aligned(nbytes: int) -> int:
    """Return the next multiple of `ALIGNMENT`."""
    return -(-nbytes // ALIGNMENT) * ALIGNMENT
