"""Nodes of a graph and their attributes, read where they lie in the file.

Formats: GraphDef, NodeDef and AttrValue of TensorFlow (tensorflow/core/framework), of whose fields only those are named
that a network in inference has.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import attrs

from cnnrt.protobuf_wire import BYTES, VARINT, Allowance, MalformedMessage, WireField, fields, read_varint

MOST_NODES = 200_000
_MOST_FIELDS = 4_000_000
_MOST_NUMBERS = 1 << 16
_LONGEST_TEXT = 1 << 16

Shape = tuple[int | None, ...]


@attrs.frozen(eq=False)
class Source:
    """The bytes that nodes were read from, and how many fields of them may still be read."""

    data: memoryview
    allowance: Allowance = attrs.field(factory=lambda: Allowance(_MOST_FIELDS))

    def fields(self, start: int, end: int) -> Iterator[WireField]:
        """Yield the fields of the message there; raises MalformedMessage."""
        return fields(self.data, start, end, self.allowance)

    def text(self, field: WireField) -> str:
        """Return a field that is text."""
        if field.wire_type != BYTES or field.end - field.start > _LONGEST_TEXT:
            raise MalformedMessage(field.tag_start, "text expected")
        return bytes(self.data[field.start : field.end]).decode("utf-8", "replace")


@attrs.frozen(eq=False)
class NodeDef:
    """A node as it is stored: name, operator, inputs ("node:output", "^node" for control), attributes not read yet."""

    name: str
    op: str
    inputs: tuple[str, ...]
    attributes: dict[str, WireField] = attrs.field(repr=False)
    source: Source = attrs.field(repr=False)


@attrs.frozen
class Numbers:
    """The lists of an attribute."""

    integers: tuple[int, ...] = ()
    texts: tuple[str, ...] = ()


def read_node(source: Source, field: WireField) -> NodeDef:
    """Return the NodeDef in a field; raises MalformedMessage."""
    name = op = ""
    inputs: list[str] = []
    attributes: dict[str, WireField] = {}
    for part in source.fields(field.start, field.end):
        if part.number == 1:
            name = source.text(part)
        elif part.number == 2:
            op = source.text(part)
        elif part.number == 3:
            inputs.append(source.text(part))
        elif part.number == 5 and part.wire_type == BYTES:
            key, value = read_entry(source, part)
            if value is not None:
                attributes[key] = value
    return NodeDef(name, op, tuple(inputs), attributes, source)


def read_entry(source: Source, field: WireField) -> tuple[str, WireField | None]:
    """Return key and value of an entry of a map from text to messages."""
    key, value = "", None
    for part in source.fields(field.start, field.end):
        if part.number == 1:
            key = source.text(part)
        elif part.number == 2 and part.wire_type == BYTES:
            value = part
    return key, value


def attribute(source: Source, field: WireField) -> object:
    """Return the value of an attribute.

    bytes for text, int, float, bool; ("type", number); a Shape, or None for one of unknown rank; a WireField for a
    tensor; Numbers for lists; ("function", name). Raises MalformedMessage.
    """
    value: object = Numbers()
    for part in source.fields(field.start, field.end):
        match part.number, part.wire_type:
            case 1, 2:
                value = _numbers(source, part)
            case 2, 2:
                value = bytes(source.data[part.start : min(part.end, part.start + _LONGEST_TEXT)])
            case 3, 0:
                value = signed(part.value)
            case 4, 5:
                (value,) = struct.unpack_from("<f", source.data, part.start)
            case 5, 0:
                value = bool(part.value)
            case 6, 0:
                value = ("type", part.value)
            case 7, 2:
                value = read_shape(source, part)
            case 8, 2:
                value = part
            case 10, 2:
                name = [source.text(p) for p in source.fields(part.start, part.end) if p.number == 1]
                value = ("function", name[0] if name else "")
    return value


def read_shape(source: Source, field: WireField) -> Shape | None:
    """Return a TensorShapeProto: None for a size that is open, and for a shape whose rank is."""
    sizes: list[int | None] = []
    for part in source.fields(field.start, field.end):
        if part.number == 3 and part.wire_type == VARINT and part.value:
            return None
        if part.number == 2 and part.wire_type == BYTES:
            stated = [p.value for p in source.fields(part.start, part.end) if p.number == 1 and p.wire_type == VARINT]
            size = signed(stated[-1]) if stated else 0
            sizes.append(size if size >= 0 else None)
            if len(sizes) > 32:
                raise MalformedMessage(field.tag_start, "a shape of more than 32 dimensions")
    return tuple(sizes)


def _numbers(source: Source, field: WireField) -> Numbers:
    integers: list[int] = []
    texts: list[str] = []
    for part in source.fields(field.start, field.end):
        if part.number == 2 and part.wire_type == BYTES:
            texts.append(source.text(part))
        elif part.number in (3, 5):
            integers += varints(source, part)
    return Numbers(tuple(integers), tuple(texts))


def varints(source: Source, field: WireField) -> list[int]:
    """Return the signed integers of a field, packed or a single one."""
    if field.wire_type == VARINT:
        return [signed(field.value)]
    if field.wire_type != BYTES:
        raise MalformedMessage(field.tag_start, "integers expected")
    found, at = [], field.start
    while at < field.end:
        value, at = read_varint(source.data, at, field.end)
        found.append(signed(value))
        if len(found) > _MOST_NUMBERS:
            raise MalformedMessage(field.tag_start, f"more than {_MOST_NUMBERS:,} integers written one by one")
    return found


def signed(value: int) -> int:
    """Return a varint's number as a signed one of 64 bits."""
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value
