"""A walker over protobuf's wire format that copies nothing.

A caffemodel or a frozen GraphDef is a few kilobytes of structure around hundreds of megabytes of weights. Handing all
of it to the protobuf library costs the file once more in memory, and its repeated fields a third time; walking over
it finds where the weights lie. Format: protobuf.dev/programming-guides/encoding (tags, varints, wire types).
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
MOST_FIELDS = 500_000
"""The most fields one file may have: a layer has dozens, and weights are single fields."""


class MalformedMessage(Exception):
    """The bytes at `offset` are not what protobuf's wire format allows."""

    def __init__(self, offset: int, message: str) -> None:
        self.offset = offset
        super().__init__(f"at byte {offset:,}: {message}")


@attrs.frozen
class WireField:
    """One field: its number, wire type, where its tag starts, and where its content starts and ends.

    `value` is the number of a varint field; other contents stay where they are.
    """

    number: int
    wire_type: int
    tag_start: int
    start: int
    end: int
    value: int = 0


@attrs.define
class Allowance:
    """How many fields may still be read of one file, whatever messages they are in."""

    left: int = MOST_FIELDS


def fields(data: memoryview, start: int, end: int, allowance: Allowance) -> Iterator[WireField]:
    """Yield the fields of the message in `data[start:end]`, in file order.

    Raises MalformedMessage with the offset where the bytes end too early or make no sense, and where `allowance` is
    used up.
    """
    at = start
    while at < end:
        allowance.left -= 1
        if allowance.left < 0:
            raise MalformedMessage(at, f"more than {MOST_FIELDS:,} fields in one file")
        tag, content = read_varint(data, at, end)
        number, wire_type = tag >> 3, tag & 7
        value = 0
        if number == 0:
            raise MalformedMessage(at, "field number 0")
        if wire_type == VARINT:
            value, stop = read_varint(data, content, end)
        elif wire_type == BYTES:
            length, content = read_varint(data, content, end)
            stop = content + length
        elif wire_type in (FIXED32, FIXED64):
            stop = content + (4 if wire_type == FIXED32 else 8)
        else:
            raise MalformedMessage(at, f"wire type {wire_type} in field {number}")
        if stop > end:
            what = f"field {number} has {stop - content:,} bytes, but only {end - content:,} follow"
            raise MalformedMessage(at, what)
        yield WireField(number, wire_type, at, content, stop, value)
        at = stop


def read_varint(data: memoryview, start: int, end: int) -> tuple[int, int]:
    """Return the unsigned integer at `start` and the offset behind it."""
    value = 0
    for index in range(10):
        if start + index >= end:
            raise MalformedMessage(start, "the data ends inside a number")
        byte = data[start + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, start + index + 1
    raise MalformedMessage(start, "a number of more than 10 bytes")


def write_varint(value: int) -> bytes:
    """Return an unsigned integer as protobuf writes it."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
