"""Variables of a SavedModel: an index of names, and files of values beside it.

Formats: the tensor bundle of TensorFlow (tensorflow/core/util/tensor_bundle, protos BundleHeaderProto and
BundleEntryProto), whose index is a table of LevelDB: blocks of sorted keys that leave out what they share with the
key before, an index of blocks, and a footer (tensorflow/core/lib/io/table_format.txt). Values stay in their files
until they are looked up.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Iterator
from pathlib import Path

import attrs
import numpy as np

from cnnrt.channels_last.constants import Constant
from cnnrt.protobuf_wire import BYTES, VARINT, Allowance, MalformedMessage, read_varint
from cnnrt_import_tensorflow.messages import Source, read_shape, signed
from cnnrt_import_tensorflow.tensors import KINDS, stored_constant

_MAGIC = 0xDB4775248B80FB57
_FOOTER = 48
_TRAILER = 5
_MOST_ENTRIES = 200_000
_LONGEST_KEY = 4096
_MOST_SHARDS = 10_000


class UnusableVariable(Exception):
    """A variable that the index has, but whose values cannot be used; the text says why."""


@attrs.frozen
class _Entry:
    """Where a variable's values lie."""

    dtype: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    sliced: bool


class TensorBundle:
    """The variables of an index file by name."""

    def __init__(self, index: Path) -> None:
        """Read the index; raises MalformedMessage where it is damaged, OSError where it cannot be read."""
        self._index = index
        self._files: dict[int, memoryview] = {}
        self._shards = 1
        self._entries: dict[str, _Entry] = {}
        source = Source(_mapped(index), Allowance(20 * _MOST_ENTRIES))
        for key, start, end in _entries(source.data):
            if key:
                self._entries[key.decode("utf-8", "replace")] = _entry(source, start, end)
            else:
                self._read_header(source, start, end)

    def __contains__(self, name: str) -> bool:
        """Tell whether there is a variable of this name."""
        return name in self._entries

    def constant(self, name: str, called: str) -> Constant:
        """Return a variable as a constant; raises UnusableVariable where its values are not what the index says."""
        entry = self._entries[name]
        kind = KINDS.get(entry.dtype)
        if kind is None or entry.sliced:
            raise UnusableVariable("a variable in slices" if entry.sliced else f"values of data type {entry.dtype}")
        if entry.size != math.prod(entry.shape) * np.dtype(kind.stored).itemsize:
            raise UnusableVariable(f"{entry.size:,} bytes for a shape of {list(entry.shape)}")
        data = self._shard(entry.shard)
        if entry.offset < 0 or entry.offset + entry.size > len(data):
            raise UnusableVariable(f"{entry.size:,} bytes from byte {entry.offset:,} of {len(data):,}")
        return stored_constant(data, entry.offset, entry.shape, kind, called)

    def _read_header(self, source: Source, start: int, end: int) -> None:
        for part in source.fields(start, end):
            if part.number == 1 and part.wire_type == VARINT:
                self._shards = part.value
            if part.number == 2 and part.wire_type == VARINT and part.value:
                raise MalformedMessage(part.tag_start, "variables in big-endian order")

    def _shard(self, number: int) -> memoryview:
        if not 0 <= number < self._shards <= _MOST_SHARDS:
            raise UnusableVariable(f"part {number} of {self._shards}")
        if number not in self._files:
            name = f"{self._index.stem}.data-{number:05}-of-{self._shards:05}"
            try:
                self._files[number] = _mapped(self._index.with_name(name))
            except OSError as error:
                raise UnusableVariable(f"{name} cannot be read: {error.strerror or error}") from None
        return self._files[number]


def _mapped(path: Path) -> memoryview:
    if not path.is_file():
        raise FileNotFoundError(2, "no such file", str(path))
    with path.open("rb") as file:
        try:
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        except ValueError:  # an empty file
            return memoryview(b"")


def _entry(source: Source, start: int, end: int) -> _Entry:
    numbers = {1: 0, 3: 0, 4: 0, 5: 0}
    shape: tuple[int, ...] = ()
    sliced = False
    for part in source.fields(start, end):
        if part.number in numbers and part.wire_type == VARINT:
            numbers[part.number] = signed(part.value)
        elif part.number == 2 and part.wire_type == BYTES:
            found = read_shape(source, part) or ()
            shape = tuple(n or 0 for n in found)
        sliced = sliced or part.number == 7
    return _Entry(numbers[1], shape, numbers[3], numbers[4], numbers[5], sliced)


def _entries(data: memoryview) -> Iterator[tuple[bytes, int, int]]:
    """Yield the keys of a table, each with where its value starts and ends."""
    if len(data) < _FOOTER or int.from_bytes(data[-8:], "little") != _MAGIC:
        raise MalformedMessage(max(len(data) - 8, 0), "not an index of variables")
    at = len(data) - _FOOTER
    _, at = _handle(data, at, len(data))
    (start, size), _ = _handle(data, at, len(data))
    count = 0
    for _, value, end in _block(data, start, size):
        (inner, inner_size), _ = _handle(data, value, end)
        for entry in _block(data, inner, inner_size):
            count += 1
            if count > _MOST_ENTRIES:
                raise MalformedMessage(inner, f"more than {_MOST_ENTRIES:,} variables")
            yield entry


def _handle(data: memoryview, at: int, end: int) -> tuple[tuple[int, int], int]:
    """Return offset and size of a block."""
    offset, at = read_varint(data, at, end)
    size, at = read_varint(data, at, end)
    return (offset, size), at


def _block(data: memoryview, start: int, size: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield the entries of a block."""
    if size < 4 or start + size + _TRAILER > len(data):
        raise MalformedMessage(start, "a block that leads out of the file")
    if data[start + size]:
        raise MalformedMessage(start, "a compressed block")
    restarts = int.from_bytes(data[start + size - 4 : start + size], "little")
    end = start + size - 4 - 4 * restarts
    key = b""
    at = start
    if end < start:
        raise MalformedMessage(start, "a block that is shorter than it says")
    while at < end:
        shared, at = read_varint(data, at, end)
        more, at = read_varint(data, at, end)
        length, at = read_varint(data, at, end)
        if shared > len(key) or shared + more > _LONGEST_KEY or at + more + length > end:
            raise MalformedMessage(at, "an entry that leads out of its block")
        key = key[:shared] + bytes(data[at : at + more])
        yield key, at + more, at + more + length
        at += more + length
