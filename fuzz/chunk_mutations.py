"""Changes to the chunks of a PNG, whose checksums are made right again so that the decoder goes on to their content."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from random import Random

from fuzz.mutations import INTEGERS, mutated

SIGNATURE = b"\x89PNG\r\n\x1a\n"
KINDS = (
    b"IHDR",
    b"PLTE",
    b"IDAT",
    b"IEND",
    b"tRNS",
    b"iCCP",
    b"tEXt",
    b"zTXt",
    b"iTXt",
    b"eXIf",
    b"acTL",
    b"fcTL",
    b"fdAT",
)
"""The chunks that Pillow looks into."""


def chunk(kind: bytes, content: bytes) -> bytes:
    """Return a chunk with its length and checksum."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def split_png(data: bytes) -> list[tuple[bytes, bytes]]:
    """Return (kind, content) of each chunk of a sound PNG."""
    chunks, at = [], len(SIGNATURE)
    while at + 8 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    return chunks


def mutated_png(random: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Return a PNG with one to four chunks changed."""
    chunks = split_png(data)
    for _ in range(random.randint(1, 4)):
        place = random.randint(0, max(0, len(chunks) - 1))
        kind, content = chunks[place] if chunks else (b"IDAT", b"")
        match random.randrange(7):
            case 0:
                chunks[place : place + 1] = [(kind, mutated(random, content, others))]
            case 1:
                chunks[place : place + 1] = [(random.choice(KINDS), content)]
            case 2:
                del chunks[place : place + 1]
            case 3:
                chunks.insert(place, (random.choice(KINDS), random.choice((content, random.randbytes(20), b""))))
            case 4 if kind == b"IDAT":
                chunks[place : place + 1] = [(kind, zlib.compress(mutated(random, _inflated(content), others)))]
            case 5 if chunks:
                chunks.append(chunks.pop(place))
            case _:
                width, height = random.choice(INTEGERS) % 2**32, random.choice((1, 8, random.choice(INTEGERS))) % 2**32
                depth, colour, interlaced = (
                    random.choice((1, 2, 4, 8, 16)),
                    random.choice((0, 2, 3, 4, 6)),
                    random.choice((0, 1)),
                )
                header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
                chunks[:1] = [
                    (
                        b"IHDR",
                        header if random.random() < 0.5 else mutated(random, chunks[0][1] if chunks else header, []),
                    )
                ]
    return SIGNATURE + b"".join(chunk(k[:4].ljust(4, b"x"), c) for k, c in chunks)


def _inflated(content: bytes) -> bytes:
    try:
        return zlib.decompress(content)
    except zlib.error:
        return content
