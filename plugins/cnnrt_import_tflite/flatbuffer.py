"""A reader of flatbuffers that copies nothing and believes no offset.

Format: flatbuffers.dev/internals. A table begins with the distance back to its vtable, which says where each field
lies, relative to the table, or 0 where it is absent; strings, vectors and tables are reached by unsigned offsets.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import attrs

MOST_TABLES = 500_000
_LONGEST_TEXT = 1 << 16


class MalformedBuffer(Exception):
    """The bytes at `offset` are not what a flatbuffer has there."""

    def __init__(self, offset: int, message: str) -> None:
        self.offset = offset
        super().__init__(f"at byte {offset:,}: {message}")


@attrs.define
class Allowance:
    """How many tables may still be read of one file, whichever way they are reached."""

    left: int = MOST_TABLES


@attrs.frozen(eq=False)
class Vector:
    """A vector: where its first element lies, and how many there are."""

    start: int
    count: int


@attrs.frozen(eq=False)
class Table:
    """A table at `position`; fields go by their number in the schema."""

    data: memoryview = attrs.field(repr=False)
    position: int
    vtable: int
    vtable_bytes: int
    allowance: Allowance = attrs.field(repr=False)

    def number(self, field: int, code: str, default: float = 0) -> float:
        """Return a number stored as struct's `code`."""
        at = self._place(field)
        if not at:
            return default
        value: float
        (value,) = _unpack(self.data, f"<{code}", at)
        return value

    def integer(self, field: int, code: str = "i", default: int = 0) -> int:
        """Return an integer stored as struct's `code`."""
        return int(self.number(field, code, default))

    def flag(self, field: int) -> bool:
        """Return a truth value."""
        return self.integer(field, "B") != 0

    def table(self, field: int) -> Table | None:
        """Return the table that a field leads to."""
        at = self._place(field)
        return table_at(self.data, at + _unsigned(self.data, at), self.allowance) if at else None

    def vector(self, field: int, itemsize: int) -> Vector | None:
        """Return the vector that a field leads to; all of it is there."""
        at = self._place(field)
        if not at:
            return None
        start = at + _unsigned(self.data, at)
        count = _unsigned(self.data, start)
        if start + 4 + count * itemsize > len(self.data):
            raise MalformedBuffer(start, f"a vector of {count:,} elements that do not fit into the file")
        return Vector(start + 4, count)

    def integers(self, field: int, code: str = "i", most: int = 1 << 16) -> tuple[int, ...]:
        """Return a vector of integers; raises MalformedBuffer where there are more than `most`."""
        return tuple(int(n) for n in self.numbers(field, code, most))

    def numbers(self, field: int, code: str, most: int = 1 << 16) -> tuple[float, ...]:
        """Return a vector of numbers."""
        vector = self.vector(field, struct.calcsize(f"<{code}"))
        if vector is None:
            return ()
        if vector.count > most:
            raise MalformedBuffer(vector.start, f"{vector.count:,} numbers where at most {most:,} are expected")
        return _unpack(self.data, f"<{vector.count}{code}", vector.start)

    def text(self, field: int) -> str:
        """Return a string, as far as anybody would read it."""
        vector = self.vector(field, 1)
        if vector is None:
            return ""
        end = vector.start + min(vector.count, _LONGEST_TEXT)
        return bytes(self.data[vector.start : end]).decode("utf-8", "replace")

    def tables(self, field: int) -> Iterator[Table]:
        """Yield the tables of a vector."""
        vector = self.vector(field, 4)
        for number in range(vector.count if vector else 0):
            assert vector is not None
            at = vector.start + 4 * number
            yield table_at(self.data, at + _unsigned(self.data, at), self.allowance)

    def _place(self, field: int) -> int:
        entry = 4 + 2 * field
        if entry + 2 > self.vtable_bytes:
            return 0
        (offset,) = _unpack(self.data, "<H", self.vtable + entry)
        return self.position + int(offset) if offset else 0


def root(data: memoryview) -> Table:
    """Return the table that a flatbuffer begins with; raises MalformedBuffer."""
    return table_at(data, _unsigned(data, 0), Allowance())


def table_at(data: memoryview, position: int, allowance: Allowance) -> Table:
    """Return the table at a position; raises MalformedBuffer where there is none."""
    allowance.left -= 1
    if allowance.left < 0:
        raise MalformedBuffer(position, f"more than {MOST_TABLES:,} tables")
    (back,) = _unpack(data, "<i", position)
    vtable = position - int(back)
    (size,) = _unpack(data, "<H", vtable)
    if size < 4 or vtable + size > len(data):
        raise MalformedBuffer(position, "no table")
    return Table(data, position, vtable, int(size), allowance)


def _unsigned(data: memoryview, at: int) -> int:
    return int(_unpack(data, "<I", at)[0])


def _unpack(data: memoryview, form: str, at: int) -> tuple[float, ...]:
    if at < 0 or at + struct.calcsize(form) > len(data):
        raise MalformedBuffer(max(at, 0), "an offset that leads out of the file")
    return struct.unpack_from(form, data, at)
