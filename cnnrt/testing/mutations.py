"""Files with something wrong in them: truncated, flipped, spliced, inflated; the same each time for the same seed."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator

NUMBERS = (b"0", b"-1", b"4294967296", b"9223372036854775807", b"1e400", b"nan")
RUNS = (b"\0", b"\xff", b"\x7f", b"9", b"{", b"[", b'"')

Mutator = Callable[[bytes, random.Random], bytes]


def mutations(content: bytes, kind: str, count: int, seed: int = 0) -> Iterator[bytes]:
    """Yield `count` versions of a file's content, each damaged in the way that `kind` names (see `KINDS`)."""
    generator = random.Random(f"{kind} {seed}")
    for _ in range(count):
        yield KINDS[kind](content, generator)


def _truncate(content: bytes, generator: random.Random) -> bytes:
    return content[: generator.randrange(max(1, len(content)))]


def _flip_bits(content: bytes, generator: random.Random) -> bytes:
    damaged = bytearray(content)
    for _ in range(generator.choice((1, 1, 2, 8, 64)) if damaged else 0):
        damaged[generator.randrange(len(damaged))] ^= 1 << generator.randrange(8)
    return bytes(damaged)


def _overwrite(content: bytes, generator: random.Random) -> bytes:
    start, stop = _span(content, generator)
    return content[:start] + generator.choice(RUNS) * (stop - start) + content[stop:]


def _splice(content: bytes, generator: random.Random) -> bytes:
    """Drop a part, or put it in once more, somewhere else."""
    start, stop = _span(content, generator)
    if generator.random() < 0.5:
        return content[:start] + content[stop:]
    place = generator.randrange(len(content) + 1)
    return content[:place] + content[start:stop] * generator.choice((1, 1, 2, 50)) + content[place:]


def _inflate(content: bytes, generator: random.Random) -> bytes:
    """Put a nasty number in place of a number in digits, or of bytes that may be one in binary."""
    written = list(re.finditer(rb"\d+", content))
    if written and generator.random() < 0.7:
        chosen = generator.choice(written)
        return content[: chosen.start()] + generator.choice(NUMBERS) + content[chosen.end() :]
    place = generator.randrange(max(1, len(content)))
    width = generator.choice((1, 2, 4, 8))
    return content[:place] + generator.choice((b"\xff", b"\x7f", b"\x80")) * width + content[place + width :]


def _noise(content: bytes, generator: random.Random) -> bytes:
    """Keep the first bytes only, and follow them with noise."""
    kept = content[: generator.choice((0, 1, 4, 16, 64))]
    return kept + generator.randbytes(generator.choice((0, 1, 100, 5000)))


def _span(content: bytes, generator: random.Random) -> tuple[int, int]:
    start = generator.randrange(len(content) + 1)
    return start, min(len(content), start + generator.choice((1, 4, 16, 100)))


KINDS: dict[str, Mutator] = {
    "truncated": _truncate,
    "flipped bits": _flip_bits,
    "overwritten": _overwrite,
    "spliced": _splice,
    "inflated": _inflate,
    "noise": _noise,
}
"""What can happen to a file."""
