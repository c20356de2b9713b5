"""Nested MessagePack lists whose numbers are all stored alike: what CNNdroid's scripts wrote, and what we write.

When every number takes the same bytes and every list header is the shortest one, each level of nesting repeats with a
constant stride. A block of the file is then an array of structures, and NumPy views with those strides reach all
markers, all list headers and all numbers at once: decoding is a few comparisons and one byte-swapping copy per block,
and encoding is the same backwards. MessagePack's format: https://github.com/msgpack/msgpack/blob/master/spec.md
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Protocol

import attrs
import numpy as np
from numpy.typing import NDArray

FLOAT32 = 0xCA
FLOAT64 = 0xCB
BLOCK = 1 << 18  # bytes that are decoded at a time; they should stay in a core's own cache

_NUMBERS: dict[int, np.dtype[Any]] = {FLOAT32: np.dtype(">f4"), FLOAT64: np.dtype(">f8")}
_BYTE = np.dtype(np.uint8)


class Source(Protocol):
    """What blocks are read from; a RegularFile is one."""

    def read_into(self, offset: int, buffer: NDArray[np.uint8]) -> None:
        """Fill the buffer with the bytes from `offset`."""


def list_header(length: int) -> bytes:
    """Return MessagePack's shortest header of a list of `length` entries."""
    if length < 16:
        return bytes([0x90 | length])
    if length < 1 << 16:
        return b"\xdc" + length.to_bytes(2, "big")
    return b"\xdd" + length.to_bytes(4, "big")


@attrs.frozen
class UniformList:
    """Nested lists of this `shape` (one dimension or more) whose numbers all have this `marker`."""

    shape: tuple[int, ...]
    marker: int

    # The header of a list of each level; level 0 is the outermost list, level len(shape) the numbers.
    headers: tuple[bytes, ...] = attrs.field(init=False)
    # The bytes that one list of each level takes, and last those of one number.
    sizes: tuple[int, ...] = attrs.field(init=False)
    # The outermost level whose lists fit a block. Lists (or numbers) of this level are called items below.
    item_level: int = attrs.field(init=False)

    @headers.default
    def _headers(self) -> tuple[bytes, ...]:
        return tuple(list_header(length) for length in self.shape)

    @sizes.default
    def _sizes(self) -> tuple[int, ...]:
        sizes = [1 + _NUMBERS[self.marker].itemsize]
        for length, header in zip(reversed(self.shape), reversed(self.headers), strict=True):
            sizes.append(len(header) + length * sizes[-1])
        return tuple(reversed(sizes))

    @item_level.default
    def _item_level(self) -> int:
        return next(level for level, size in enumerate(self.sizes) if size <= BLOCK)

    @property
    def nbytes(self) -> int:
        """Bytes that the lists take in a file."""
        return self.sizes[0]

    def decode(self, source: Source, offset: int, out: NDArray[np.float32] | None) -> bool:
        """Decode the lists at `offset` into `out` (float32 of this shape); False where they are stored otherwise.

        Without `out` the bytes are checked all the same. After False the content of `out` is undefined.
        """
        items = None if out is None else self._items(out)
        buffer = np.empty(min(BLOCK, self.nbytes), _BYTE)
        first = 0
        for place, piece in self._pieces(0, offset):
            if isinstance(piece, bytes):
                header = buffer[: len(piece)]
                source.read_into(place, header)
                if header.tobytes() != piece:
                    return False
                continue
            block = buffer[: piece * self.sizes[self.item_level]]
            source.read_into(place, block)
            if not all((view == expected).all() for view, expected in self._frame(block, piece)):
                return False
            if items is not None and not _copied(self._numbers(block, piece), items[first : first + piece]):
                return False
            first += piece
        return True

    @property
    def item_values(self) -> int:
        """Numbers of an item: `decode_items` reads whole ones."""
        return math.prod(self.shape[self.item_level :])

    def decode_items(self, source: Source, offset: int, first: int, out: NDArray[np.float32]) -> bool:
        """Decode the items from number `first` on, as many as fill `out` (flat), of the lists at `offset`.

        False where they are stored otherwise; see `decode`.
        """
        items = out.reshape(-1, *self.shape[self.item_level :])
        outer = self.shape[: self.item_level]
        size = self.sizes[self.item_level]
        done = 0
        while done < len(items):
            index = [int(i) for i in np.unravel_index(first + done, outer)] if outer else []
            place = offset + sum(len(self.headers[n]) + i * self.sizes[n + 1] for n, i in enumerate(index))
            # Headers of the lists that begin here lie before it.
            begun = next((n for n in range(len(index)) if not any(index[n:])), len(index))
            headers = b"".join(self.headers[begun : self.item_level])
            count = min(outer[-1] - index[-1], BLOCK // size, len(items) - done) if outer else 1
            raw = np.empty(len(headers) + count * size, _BYTE)
            source.read_into(place - len(headers), raw)
            block = raw[len(headers) :]
            if raw[: len(headers)].tobytes() != headers:
                return False
            if not all((view == expected).all() for view, expected in self._frame(block, count)):
                return False
            if not _copied(self._numbers(block, count), items[done : done + count]):
                return False
            done += count
        return True

    def encode(self, array: NDArray[np.float32]) -> Iterator[bytes | NDArray[np.uint8]]:
        """Yield, block by block, the bytes of the lists that hold `array` (of this shape)."""
        items = self._items(array)
        frame = np.empty(self.sizes[self.item_level], _BYTE)
        for view, value in self._frame(frame, 1):
            view[...] = value
        first = 0
        for _, piece in self._pieces(0, 0):
            if isinstance(piece, bytes):
                yield piece
                continue
            block = np.tile(frame, piece)
            self._numbers(block, piece)[...] = items[first : first + piece]
            first += piece
            yield block

    def _pieces(self, level: int, offset: int) -> Iterator[tuple[int, bytes | int]]:
        """Yield (offset, piece) in file order; a piece is a list's header or the number of items that fill a block."""
        if level == self.item_level:  # the whole fits one block
            yield offset, 1
            return
        header, length, size = self.headers[level], self.shape[level], self.sizes[level + 1]
        yield offset, header
        start = offset + len(header)
        if level + 1 < self.item_level:
            for index in range(length):
                yield from self._pieces(level + 1, start + index * size)
        else:
            step = BLOCK // size
            for index in range(0, length, step):
                yield start + index * size, min(step, length - index)

    def _items(self, array: NDArray[np.float32]) -> NDArray[np.float32]:
        count = math.prod(self.shape[: self.item_level])
        return array.reshape(count, *self.shape[self.item_level :])

    def _frame(self, block: NDArray[np.uint8], count: int) -> Iterator[tuple[NDArray[np.uint8], int]]:
        """Yield views of all bytes of `count` items that are no numbers: list headers and markers, and their value."""
        numbers = len(self.shape)
        for level in range(self.item_level, numbers):
            for skip, value in enumerate(self.headers[level]):
                yield self._view(block, count, level, skip, _BYTE), value
        yield self._view(block, count, numbers, 0, _BYTE), self.marker

    def _numbers(self, block: NDArray[np.uint8], count: int) -> NDArray[Any]:
        return self._view(block, count, len(self.shape), 1, _NUMBERS[self.marker])

    def _view(self, block: NDArray[np.uint8], count: int, level: int, skip: int, dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return what lies `skip` bytes into every list (or number) of `level`, in a block of `count` items."""
        shape = (count, *self.shape[self.item_level : level])
        strides = self.sizes[self.item_level : level + 1]
        if 0 in shape:  # below an empty list there is nothing, and NumPy refuses a view that begins past the end
            return np.empty(shape, dtype)
        inner = sum(len(header) for header in self.headers[self.item_level : level])
        return np.ndarray(shape, dtype, block, inner + skip, strides)


def _copied(numbers: NDArray[Any], out: NDArray[np.float32]) -> bool:
    """Copy; False where a float64 is too large for a float32 (the general decoder then names the number)."""
    if numbers.dtype.itemsize == out.dtype.itemsize:
        out[...] = numbers
        return True
    with np.errstate(over="ignore", invalid="ignore"):  # invalid: a NaN that signals
        out[...] = numbers
    return bool((np.isinf(out) == np.isinf(numbers)).all())
