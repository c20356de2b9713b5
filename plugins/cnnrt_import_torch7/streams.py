"""The two encodings of Torch7's files: numbers and text, one after the other.

Format: torch7, lib/TH/THDiskFile.c. Binary is little-endian, with 8 bytes for a `long` (4 where it was written on a
machine of 32 bits). ASCII has numbers apart by blanks; text is as long as the number before it says.
"""

from __future__ import annotations

import abc
import mmap
import re
import struct
from typing import Any

import numpy as np

from cnnrt.layer import Array
from cnnrt.mapped_file import read_mapped
from cnnrt_import_torch7.objects import Fault, Storage

_WORD = re.compile(rb"\s*(\S{1,64})")
_BYTES = ("i1", "u1")


class Stream(abc.ABC):
    """Reads one value after the other from `data`; `at` is the offset of the next byte."""

    def __init__(self, data: bytes | mmap.mmap) -> None:
        self.data = data
        self.at = 0

    def raw(self, count: int) -> bytes:
        """Return the next bytes."""
        if count < 0 or count > len(self.data) - self.at:
            raise Fault("it ends too early")
        self.at += count
        return self.data[self.at - count : self.at]

    @abc.abstractmethod
    def integer(self) -> int:
        """Return an `int`."""

    @abc.abstractmethod
    def long(self) -> int:
        """Return a `long`."""

    @abc.abstractmethod
    def double(self) -> float:
        """Return a `double`."""

    @abc.abstractmethod
    def text(self) -> bytes:
        """Return text behind its length."""

    @abc.abstractmethod
    def storage(self, dtype: np.dtype[Any]) -> Storage:
        """Return numbers behind their count."""


class Binary(Stream):
    """The binary encoding; `long_size` is 8 or 4 bytes."""

    def __init__(self, data: bytes | mmap.mmap, long_size: int = 8) -> None:
        super().__init__(data)
        self.long_size = long_size

    def _unpack(self, layout: str) -> Any:
        return struct.unpack(layout, self.raw(struct.calcsize(layout)))[0]

    def integer(self) -> int:
        """Return 4 bytes as an integer."""
        return int(self._unpack("<i"))

    def long(self) -> int:
        """Return 8 or 4 bytes as an integer."""
        return int(self._unpack("<q" if self.long_size == 8 else "<i"))

    def double(self) -> float:
        """Return 8 bytes as a number."""
        return float(self._unpack("<d"))

    def text(self) -> bytes:
        """Return as many bytes as the integer before them says."""
        return self.raw(self.integer())

    def storage(self, dtype: np.dtype[Any]) -> Storage:
        """Return where the numbers lie; none is read before it is asked for."""
        if dtype == np.dtype("<i8") and self.long_size == 4:
            dtype = np.dtype("<i4")
        count = self.long()
        start = self.at
        if not 0 <= count <= (len(self.data) - start) // dtype.itemsize:
            raise Fault(f"a storage of {count:,} numbers, more than the file holds")
        self.at += count * dtype.itemsize
        whole = memoryview(self.data)

        def read(first: int, last: int) -> Array:
            return read_mapped(whole, dtype, last - first, start + first * dtype.itemsize)

        return Storage(count, dtype, read)


class Ascii(Stream):
    """The ASCII encoding."""

    def _word(self) -> bytes:
        match = _WORD.match(self.data, self.at)
        if match is None:
            raise Fault("it ends too early")
        self.at = match.end()
        return match[1]

    def _end_line(self) -> None:
        if self.data[self.at : self.at + 1] == b"\n":
            self.at += 1

    def integer(self) -> int:
        """Return a word as an integer."""
        word = self._word()
        if not re.fullmatch(rb"[+-]?[0-9]{1,19}", word):
            raise Fault(f"{word[:20]!r}, which is no integer")
        self._end_line()
        return int(word)

    def long(self) -> int:
        """Return a word as an integer."""
        return self.integer()

    def double(self) -> float:
        """Return a word as a number."""
        word = self._word()
        self._end_line()
        try:
            return float(word)
        except ValueError:
            raise Fault(f"{word[:20]!r}, which is no number") from None

    def text(self) -> bytes:
        """Return as many bytes as the integer before them says."""
        content = self.raw(self.integer())
        self._end_line()
        return content

    def storage(self, dtype: np.dtype[Any]) -> Storage:
        """Return the numbers, read now: where they end is known then only."""
        count = self.long()
        if not 0 <= count <= len(self.data) - self.at:
            raise Fault(f"a storage of {count:,} numbers, more than the file holds")
        if dtype.str[1:] in _BYTES:
            values: Array = np.frombuffer(self.raw(count), dtype)
        else:
            words = [self._word() for _ in range(count)]
            try:
                numbers = np.array([float(word) for word in words], np.float64)
            except ValueError:
                raise Fault("a storage with what is no number") from None
            with np.errstate(all="ignore"):
                values = numbers.astype(dtype)
        self._end_line()
        return Storage(count, dtype, lambda first, last: values[first:last])
