"""Changes to bytes that know nothing of any format."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from random import Random

INTEGERS: tuple[int, ...] = (
    0,
    1,
    2,
    7,
    8,
    15,
    16,
    31,
    32,
    63,
    64,
    100,
    127,
    128,
    255,
    256,
    1000,
    4095,
    4096,
    32767,
    32768,
    65535,
)
INTEGERS += (65536, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**40, 2**62, 2**63 - 1, 2**63, 2**64 - 1)
"""Numbers at which sizes, signs and types turn over."""

BYTES = (
    b"\0",
    b"\xff",
    b"\x80",
    b"\x7f",
    b"\0" * 8,
    b"\xff" * 8,
    b"../",
    b"/etc/passwd",
    b"%s%n",
    b"\r\n",
    b"\x1b[31m",
)
"""Bytes that some reader somewhere has stumbled over."""

_WIDTHS = ("<B", "<H", ">H", "<I", ">I", "<Q", ">Q")


def mutated(random: Random, data: bytes, others: Sequence[bytes], words: Sequence[bytes] = BYTES) -> bytes:
    """Return `data` after one to six changes; `others` are for splicing, `words` are the format's own nasty values."""
    for _ in range(min(random.randint(1, 6), random.randint(1, 6))):
        change = random.choice(CHANGES)
        data = change(random, data, others, words)
    return data


def _span(random: Random, data: bytes) -> tuple[int, int]:
    start = random.randint(0, len(data))
    return start, min(len(data), start + random.choice((1, 1, 2, 4, 8, 16, 64, 256)))


def flip(random: Random, data: bytes, others: Sequence[bytes], words: Sequence[bytes]) -> bytes:
    """Flip one to eight bits."""
    changed = bytearray(data)
    for _ in range(random.randint(1, 8) if changed else 0):
        changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


def cut_end(random: Random, data: bytes, others: Sequence[bytes], words: Sequence[bytes]) -> bytes:
    """Leave out the end."""
    return data[: random.randint(0, len(data))]


def cut_out(random: Random, data: bytes, others: Sequence[bytes], words: Sequence[bytes]) -> bytes:
    """Leave out a piece."""
    start, end = _span(random, data)
    return data[:start] + data[end:]


def repeat(random: Random, data: bytes, others: Sequence[bytes], words: Sequence[bytes]) -> bytes:
    """Say a piece several times."""
    start, end = _span(random, data)
    return data[:start] + data[start:end] * random.choice((2, 3, 10, 100)) + data[end:]


def splice(random: Random, data: bytes, others: Sequence[bytes], words: Sequence[bytes]) -> bytes:
    """Go on with a piece of another input."""
    other = random.choice(others) if others else data
    return data[: random.randint(0, len(data))] + other[random.randint(0, len(other)) :]


def insert(random: Random, data: bytes, others: Sequence[bytes], words: Sequence[bytes]) -> bytes:
    """Put a nasty value somewhere, in between or over what is there."""
    word = random.choice(words)
    place = random.randint(0, len(data))
    return data[:place] + word + data[place + random.choice((0, len(word))) :]


def inflate(random: Random, data: bytes, others: Sequence[bytes], words: Sequence[bytes]) -> bytes:
    """Overwrite what may be a size, in any width and byte order, by a nasty number or a neighbour of what is there."""
    width = random.choice(_WIDTHS)
    size = struct.calcsize(width)
    if len(data) < size:
        return data
    place = random.randint(0, len(data) - size)
    (old,) = struct.unpack_from(width, data, place)
    number = random.choice((*INTEGERS, old + 1, old - 1, old * 2, old * 256)) % (1 << 8 * size)
    return data[:place] + struct.pack(width, number) + data[place + size :]


def noise(random: Random, data: bytes, others: Sequence[bytes], words: Sequence[bytes]) -> bytes:
    """Overwrite a piece by random bytes."""
    start, end = _span(random, data)
    return data[:start] + random.randbytes(end - start) + data[end:]


Change = Callable[[Random, bytes, Sequence[bytes], Sequence[bytes]], bytes]
CHANGES: tuple[Change, ...] = (flip, flip, cut_end, cut_out, repeat, splice, insert, inflate, inflate, noise)
