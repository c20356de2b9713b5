"""Grey pictures in a terminal: each character shows two pixels, one above the other (U+2580, upper half block)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from rich.text import Text

UPPER, LOWER, BOTH = "\N{UPPER HALF BLOCK}", "\N{LOWER HALF BLOCK}", "\N{FULL BLOCK}"
LEVELS = 16
"""Shades of grey: the eye sees no more in so small a picture, and equal neighbours make short output."""


def picture(pixels: NDArray[np.uint8], *, grey: bool) -> list[Text]:
    """Return the lines of a picture. `pixels`: (rows, columns), 0 is black; an odd last row is filled up with black.

    Without `grey` a pixel is on from half brightness.
    """
    rows, columns = pixels.shape
    padded = np.zeros((rows + rows % 2, columns), np.uint8)
    padded[:rows] = pixels
    draw = _shaded if grey else _on_or_off
    return [draw(upper, lower) for upper, lower in zip(padded[0::2], padded[1::2], strict=True)]


def _shaded(upper: NDArray[np.uint8], lower: NDArray[np.uint8]) -> Text:
    line = Text()
    for above, below in zip(_levels(upper), _levels(lower), strict=True):
        if above == below:
            line.append(" ", f"on {_grey(above)}")
        else:
            line.append(UPPER, f"{_grey(above)} on {_grey(below)}")
    return line


def _on_or_off(upper: NDArray[np.uint8], lower: NDArray[np.uint8]) -> Text:
    characters = {(True, True): BOTH, (True, False): UPPER, (False, True): LOWER, (False, False): " "}
    return Text("".join(characters[bool(a), bool(b)] for a, b in zip(upper >= 128, lower >= 128, strict=True)))


def _levels(pixels: NDArray[np.uint8]) -> list[int]:
    return [int(level) for level in np.rint(pixels.astype(float) * (LEVELS - 1) / 255)]


def _grey(level: int) -> str:
    value = round(level * 255 / (LEVELS - 1))
    return f"#{value:02x}{value:02x}{value:02x}"
