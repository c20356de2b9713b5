"""Files of labels."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from random import Random

from cnnrt.labels import read_label_file
from fuzz import worst_cases
from fuzz.mutations import BYTES, mutated
from fuzz.target import Guarded, Target

_WORDS = (
    *BYTES,
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\xe2\x80\xa8",
    b"\x0b",
    b"\x85",
    b"\n" * 1000,
    b"x" * 5000,
)


def _make(random: Random) -> bytes:
    lines = [
        random.choice(("cat", "Kätzchen", "", "  ", "n02119789 kit fox", "\u732b", "a\tb"))
        for _ in range(random.randint(0, 30))
    ]
    data = (
        random.choice(("\n", "\r\n", "\r", "\u2028"))
        .join(lines)
        .encode(random.choice(("utf-8", "utf-8", "utf-8-sig", "utf-16")))
    )
    return mutated(random, data, [data], _WORDS) if random.random() < 0.8 else data


def _read(data: bytes, folder: Path, guarded: Guarded) -> None:
    path = folder / "labels.txt"
    path.write_bytes(data)
    with guarded():
        assert all(isinstance(label, str) for label in read_label_file(path))


TARGET = Target(
    "labels",
    lambda folder: _read(b"a\nb\n", folder, nullcontext),
    _make,
    _read,
    ("cnnrt/labels.py",),
    cases=worst_cases.LABELS,
)
