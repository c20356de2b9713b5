"""MessagePack lists of mixed encodings, token by token, without a Python step for each.

Where one token (a list's header or a number) begins is known only from the one before it, which would make a plain
loop of tens of millions of steps. Instead every byte of a window is taken for the start of a token at once, giving
each a successor; composing that table with itself gives jumps of 2, 4, 8, ... tokens (pointer jumping: Wyllie, The
complexity of parallel computations, 1979). A short walk in the longest jumps, refined by the shorter ones, is the
true sequence.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from netfile_spec.parameters.regular_file import RegularFile, damage

_WINDOW = 1 << 15
_DOUBLINGS = 4
_SHORTEST_RUN = 1024  # of float32, that is worth a step of its own
_LONGEST_TOKEN = 9

# How each marker byte's token goes on: the bytes of its payload, and what they hold.
_WIDTHS = np.full(256, -1, np.int64)
_WIDTHS[0x00:0x80] = 0  # positive fixint
_WIDTHS[0x90:0xA0] = 0  # fixarray
_WIDTHS[0xE0:0x100] = 0  # negative fixint
_PAYLOADS: dict[int, np.dtype[Any]] = {
    0xCA: np.dtype(">f4"),
    0xCB: np.dtype(">f8"),
    0xCC: np.dtype(">u1"),
    0xCD: np.dtype(">u2"),
    0xCE: np.dtype(">u4"),
    0xCF: np.dtype(">u8"),
    0xD0: np.dtype(">i1"),
    0xD1: np.dtype(">i2"),
    0xD2: np.dtype(">i4"),
    0xD3: np.dtype(">i8"),
    0xDC: np.dtype(">u2"),  # array16
    0xDD: np.dtype(">u4"),  # array32
}
for _marker, _dtype in _PAYLOADS.items():
    _WIDTHS[_marker] = _dtype.itemsize

_IS_ARRAY = np.zeros(256, np.bool_)
_IS_ARRAY[0x90:0xA0] = True
_IS_ARRAY[[0xDC, 0xDD]] = True


@attrs.frozen(eq=False)
class Tokens:
    """Consecutive tokens: `starts` are places in `raw`; `base` and `end` say where in the file they begin and end."""

    raw: NDArray[np.uint8]
    base: int
    starts: NDArray[np.int64]
    end: int

    @property
    def are_lists(self) -> NDArray[np.bool_]:
        """For each token, whether it is a list's header."""
        return _IS_ARRAY[self.raw[self.starts]]

    def values(self) -> NDArray[np.float64]:
        """Return each token's number, or its length where it is a list; a whole number above 2^53 is rounded."""
        markers = self.raw[self.starts]
        values = markers.view(np.int8).astype(np.float64)  # the fixints
        short_lists = (markers & 0xF0) == 0x90
        values[short_lists] = markers[short_lists] & 0x0F
        counts = np.bincount(markers, minlength=256)
        for marker, dtype in _PAYLOADS.items():
            if counts[marker]:
                chosen = markers == marker
                places = self.starts[chosen, np.newaxis] + np.arange(1, 1 + dtype.itemsize)
                with np.errstate(invalid="ignore"):  # a NaN that signals
                    values[chosen] = self.raw[places].view(dtype)[:, 0]
        return values

    def place(self, index: int) -> int:
        """Return the byte of the file at which token `index` begins."""
        return self.base + int(self.starts[index])


def read_tokens(file: RegularFile, offset: int, count: int) -> Iterator[Tokens]:
    """Yield the `count` tokens from `offset` on, in windows of bounded size.

    Raises ParameterFileError at a token that is neither a number nor a list, and where the file ends too early.
    """
    while count:
        raw = np.frombuffer(file.read(offset, _WINDOW + _LONGEST_TOKEN - 1), np.uint8)
        if not raw.size:
            raise damage(file.path, f"the file ends here; {count} more numbers or lists were expected", at=offset)
        starts = _run_of_float32(raw[:_WINDOW])[:count]
        if len(starts) < _SHORTEST_RUN:
            starts = _starts(raw[:_WINDOW])[:count]
        widths = _WIDTHS[raw[starts]]
        end = int(starts[-1]) + 1 + int(widths[-1])
        if widths[-1] < 0 or end > raw.size:
            # What comes before is handed out first: a mistake in there is the one to report.
            yield Tokens(raw, offset, starts[:-1], offset + int(starts[-1]))
            marker = int(raw[starts[-1]])
            message = f"{name_of(marker)}; expected a number or a list of numbers"
            if widths[-1] >= 0:
                message = f"the file ends inside {name_of(marker)}"
            raise damage(file.path, message, at=offset + int(starts[-1]))
        yield Tokens(raw, offset, starts, offset + end)
        offset += end
        count -= len(starts)


def _run_of_float32(window: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return where tokens begin as long as all are float32: most of most files, and found far more quickly."""
    other = window[::5] != 0xCA
    count = int(np.argmax(other)) if other.any() else len(other)
    return np.arange(0, 5 * count, 5, dtype=np.int64)


def _starts(window: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return where tokens begin in a window that begins with one; an illegal token is the last of them."""
    end = len(window)
    widths = _WIDTHS[window]
    successors = np.arange(
        1, end + 2, dtype=np.int64
    )  # one more entry: the end, which every chain falls into and stays in
    successors[:end] += widths
    successors[:end][widths < 0] = end
    np.minimum(successors, end, out=successors)
    jumps = [successors]
    for _ in range(_DOUBLINGS):
        jumps.append(jumps[-1].take(jumps[-1]))
    longest = jumps[-1].data
    coarse, place = [], 0
    while place < end:
        coarse.append(place)
        place = longest[place]
    starts = np.array(coarse, np.int64)
    for jump in reversed(jumps[:-1]):
        starts = np.stack([starts, jump.take(starts)], axis=1).reshape(-1)
    return starts[starts < end]


def name_of(marker: int) -> str:
    """Return what a MessagePack token with this first byte is, for a person."""
    if _IS_ARRAY[marker]:
        return "a list"
    if _WIDTHS[marker] >= 0:
        return "a number"
    if 0xA0 <= marker < 0xC0 or 0xD9 <= marker <= 0xDB:
        return "a string"
    if 0x80 <= marker < 0x90 or marker in (0xDE, 0xDF):
        return "a map"
    if marker in (0xC2, 0xC3):
        return "a boolean"
    if 0xC4 <= marker <= 0xC6:
        return "binary data"
    return {0xC0: "nil", 0xC1: "a byte that MessagePack never uses"}.get(marker, "an extension type")
