"""cnnrt's own layout: raw little-endian tensors behind a header, checksummed, aligned, ready to be mapped."""

from __future__ import annotations

import mmap
import sys
import threading
import zlib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netfile_spec.parameters.checksum import joined
from netfile_spec.parameters.cnnrt_header import StoredTensor, header_of, pack_header, read_header
from netfile_spec.parameters.parameter_file import ParameterFile, TensorParts, WholeTensor
from netfile_spec.parameters.regular_file import RegularFile, damage
from netfile_spec.parameters.written_beside import written_beside

_BLOCK = 1 << 20  # the checksum finds a block in the cache that has just been read


class StoredParts(TensorParts):
    """A float32 tensor of a file in cnnrt's layout."""

    raw = True
    bounded = True

    def __init__(
        self, opened: Callable[[], AbstractContextManager[RegularFile]], stored: StoredTensor, verify: bool
    ) -> None:
        self._verify = verify
        self.size = stored.info.nbytes // 4
        self._opened = opened
        self._stored = stored
        self._checksums: dict[int, tuple[int, int]] = {}
        """First value -> (end, CRC-32) of what was read."""

    def read(self, first: int, out: NDArray[np.float32]) -> None:
        """Read values into their place, and note their checksum."""
        end = first + out.size
        if not 0 <= first <= end <= self.size:
            raise IndexError(f"values {first} to {end} of {self.size}")
        crc32 = 0
        raw = out.view(np.uint8)
        block = _BLOCK if self._verify else max(raw.size, 1)
        with self._opened() as file:
            for start in range(0, raw.size, block):
                part = raw[start : start + block]
                file.read_into(self._stored.offset + 4 * first + start, part)
                if not self._verify:
                    continue
                crc32 = zlib.crc32(part.data, crc32)
        self._checksums[first] = (end, crc32)

    def finish(self) -> None:
        """Join the checksums of the parts; gaps between them, and what overlaps, are read again."""
        if not self._verify:
            return
        crc32, at = 0, 0
        while at < self.size:
            if at not in self._checksums:
                following = min((first for first in self._checksums if first > at), default=self.size)
                self.read(at, np.empty(min(following - at, _BLOCK // 4), np.float32))
            end, own = self._checksums[at]
            crc32 = joined(crc32, own, 4 * (end - at))
            at = end
        with self._opened() as file:
            check(file.path, self._stored, crc32)


def check(path: Path, stored: StoredTensor, crc32: int) -> None:
    """Raise ParameterFileError where a tensor's checksum is not what the header says."""
    if crc32 != stored.crc32:
        raise damage(
            path,
            f"tensor {stored.info.name!r} is damaged: its checksum is {crc32:08x}, the header "
            f"says {stored.crc32:08x}. Get or convert the file again",
            at=stored.offset,
        )


class CnnrtParameterFile(ParameterFile):
    """A parameter file in cnnrt's own layout."""

    layout = "cnnrt"

    def __init__(self, file: RegularFile) -> None:
        self._stored: tuple[StoredTensor, ...] = read_header(file)
        self._map: mmap.mmap | None = None
        self._map_lock = threading.Lock()
        super().__init__(file.path, file.stamp, tuple(tensor.info for tensor in self._stored))

    def close(self) -> None:
        """Let go of the file and of its map; arrays already returned by `map` keep theirs."""
        super().close()
        self._map = None

    def parts(self, index_or_name: int | str, *, verify: bool = True) -> TensorParts:
        """Return one tensor to be read in parts; those of float32 are read without a copy, and checked as they pass."""
        index = self._find(index_or_name)
        if self._stored[index].info.dtype != "float32" or sys.byteorder == "big":
            return WholeTensor(self, index)
        return StoredParts(self._open, self._stored[index], verify)

    def _fill(self, file: RegularFile, index: int, out: NDArray[Any] | None, verify: bool) -> None:
        stored = self._stored[index]
        block = min(_BLOCK, stored.info.nbytes)
        raw = np.empty(block, np.uint8) if out is None else out.reshape(-1).view(np.uint8)
        crc32 = 0
        for start in range(0, stored.info.nbytes, _BLOCK):
            count = min(_BLOCK, stored.info.nbytes - start)
            part = raw[:count] if out is None else raw[start : start + count]
            file.read_into(stored.offset + start, part)
            if verify:
                crc32 = zlib.crc32(part.data, crc32)
        if verify:
            check(file.path, stored, crc32)
        if out is not None and sys.byteorder == "big":
            out.byteswap(inplace=True)

    def _view(self, file: RegularFile, index: int) -> NDArray[Any]:
        stored = self._stored[index]
        dtype = np.dtype(stored.info.dtype).newbyteorder("<")
        if stored.info.nbytes == 0:
            empty = np.empty(stored.info.shape, dtype)
            empty.flags.writeable = False
            return empty
        with self._map_lock:
            if self._map is None:
                self._map = _map_whole(file)
            mapped = self._map
        count = stored.info.nbytes // dtype.itemsize
        return np.frombuffer(mapped, dtype, count, stored.offset).reshape(stored.info.shape)


def write_cnnrt(path: Path, tensors: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays in cnnrt's layout, in the mapping's order; the same arrays give the same bytes.

    Raises ParameterFileError for names, dtypes and shapes that the layout cannot hold, and where writing fails.
    """
    infos = header_of(tensors)
    raw = [_little_endian_bytes(array) for array in tensors.values()]
    front, offsets = pack_header([(info, zlib.crc32(data.data)) for info, data in zip(infos, raw, strict=True)])
    with written_beside(path) as stream:
        stream.write(front)
        end = len(front)
        for offset, data in zip(offsets, raw, strict=True):
            stream.write(b"\0" * (offset - end))
            stream.write(data.data)
            end = offset + data.nbytes


def _little_endian_bytes(array: NDArray[Any]) -> NDArray[np.uint8]:
    """Return the array's bytes in C order, low byte first; a view where they lie like that already."""
    ordered = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return ordered.reshape(-1).view(np.uint8)


def _map_whole(file: RegularFile) -> mmap.mmap:
    # Without trackfd=False each map keeps a descriptor of its own, and hundreds of layers use up the allowance.
    if sys.version_info >= (3, 13):
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ, trackfd=sys.platform == "win32")
    return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
