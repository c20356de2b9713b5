"""Changes to the fields of protobuf messages and to the tokens of MessagePack, which stay well-formed around them."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from fuzz.mutations import BYTES, INTEGERS

_MARKERS: tuple[bytes, ...] = (
    b"\xc0",
    b"\xc1",
    b"\xc2",
    b"\x80",
    b"\xde\xff\xff",
    b"\xdf\xff\xff\xff\xff",
    b"\x90",
    b"\x9f",
    b"\xdc\xff\xff",
)
_MARKERS += (
    b"\xdd\xff\xff\xff\xff",
    b"\xdd\0\0\0\1",
    b"\xdc\0\1",
    b"\xa0",
    b"\xd9\xff",
    b"\xdb\xff\xff\xff\xff",
    b"\xc4\xff",
)
_MARKERS += (
    b"\xc6\xff\xff\xff\xff",
    b"\xc7\xff\1",
    b"\xd4\0\0",
    b"\xca\x7f\x80\0\0",
    b"\xcb\x7f\xef" + b"\xff" * 6,
    b"\xcf" + b"\xff" * 8,
)
_MARKERS += (b"\xd3\x80" + b"\0" * 7, b"\x00", b"\xff", b"\xcc\x05")
"""MessagePack tokens: nil, maps, lists that promise much, strings, binary, extensions, numbers of every kind."""

_PAYLOADS = {0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8, 0xDC: 2, 0xDD: 4}
_PAYLOADS |= {0xDE: 2, 0xDF: 4}


def varint(value: int) -> bytes:
    """Return a number as protobuf writes it."""
    out = bytearray()
    value %= 1 << 64
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*out, value))


def field(number: int, content: bytes | int) -> bytes:
    """Return one field of a message: a number, or bytes with their length."""
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    return varint(number << 3 | 2) + varint(len(content)) + content


def split_message(data: bytes) -> list[tuple[int, int, bytes]] | None:
    """Return a message's fields as (number, wire type, content); None where it is no message."""
    fields, at = [], 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        wire_type, start = tag & 7, at
        if wire_type == 0:
            _, at = _read_varint(data, at)
        elif wire_type == 2:
            length, start = _read_varint(data, at)
            at = start + length
        elif wire_type in (1, 5):
            at += 8 if wire_type == 1 else 4
        else:
            return None
        if at > len(data) or not tag >> 3:
            return None
        fields.append((tag >> 3, wire_type, data[start:at]))
    return fields


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data):
        value |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 0x80:
            return value, at
    return 0, len(data) + 1


def mutated_message(random: Random, data: bytes, depth: int = 0) -> bytes:
    """Return a protobuf message in which one field, at some depth, was changed, removed, repeated, moved or faked."""
    fields = split_message(data)
    if not fields:
        return data + field(random.randint(1, 120), random.choice(INTEGERS))
    place = random.randrange(len(fields))
    number, wire_type, content = fields[place]
    if wire_type == 2 and depth < 6 and random.random() < 0.75 and split_message(content):
        fields[place] = (number, wire_type, mutated_message(random, content, depth + 1))
    else:
        match random.randrange(8):
            case 0:
                del fields[place]
            case 1:
                fields[place:place] = [fields[place]] * random.choice((1, 2, 30))
            case 2:
                fields.append(fields.pop(place))
            case 3:
                fields[place] = (random.choice((1, 2, 5, 6, 7, 8, 50, 100, 106, number + 1)), wire_type, content)
            case 4:
                fields[place] = (number, 0, varint(random.choice(INTEGERS)))
            case 5:
                fields[place] = (number, 2, random.choice((*BYTES, content[:-1], content * 2, random.randbytes(8))))
            case 6:
                fields[place] = (number, random.choice((1, 5)), random.randbytes(8))
            case _:
                fields.insert(place, (random.randint(1, 120), 2, content))
    return b"".join(_joined(*f) for f in fields)


def _joined(number: int, wire_type: int, content: bytes) -> bytes:
    tag = varint(number << 3 | wire_type)
    if wire_type == 2:
        return tag + varint(len(content)) + content
    return tag + (
        content[: 8 if wire_type == 1 else 4].ljust(8 if wire_type == 1 else 4, b"\0") if wire_type else content
    )


def split_msgpack(data: bytes) -> list[bytes]:
    """Return MessagePack data token by token; strings keep their bytes, and what makes no sense comes last, whole."""
    pieces, at = [], 0
    while at < len(data):
        marker = data[at]
        size = 1 + _PAYLOADS.get(marker, 0)
        if 0xA0 <= marker < 0xC0:
            size += marker & 0x1F
        pieces.append(data[at : at + size])
        at += size
    return pieces


def mutated_msgpack(random: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Return MessagePack data in which one to five tokens were replaced, removed, repeated or moved."""
    pieces = split_msgpack(data)
    for _ in range(random.randint(1, 5)):
        place = random.randint(0, max(0, len(pieces) - 1))
        match random.randrange(6):
            case 0:
                pieces[place : place + 1] = [random.choice(_MARKERS)]
            case 1:
                pieces.insert(place, random.choice(_MARKERS))
            case 2:
                del pieces[place : place + random.choice((1, 1, 3))]
            case 3:
                pieces[place:place] = pieces[place : place + 3] * random.choice((1, 10))
            case 4 if others:
                donor = split_msgpack(random.choice(others))
                pieces[place : place + 2] = donor[: random.randint(0, 8)]
            case _:
                if pieces:
                    pieces.append(pieces.pop(place))
    return b"".join(pieces)
