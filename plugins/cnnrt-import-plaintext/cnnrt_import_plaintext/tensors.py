"""Weights: numbers in the line, or an .npy file beside it. Both are hostile input until their sizes were checked."""

from __future__ import annotations

import math
import os
import re
import warnings
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from cnnrt.errors import CnnrtError
from cnnrt.layer import Array, shape_text
from netfile_spec import resolve_inside

_SHAPED = re.compile(r"(?P<shape>\d{1,9}(?:x\d{1,9}){0,7}):(?P<numbers>.*)")
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def read_tensor(text: str, folder: Path, most: int) -> Array:
    """Return what `text` stands for, float32: `2x2:1,2,3,4`, `0.5,1` or the name of an .npy file in `folder`.

    Raises ValueError or CnnrtError with what is wrong with it; an .npy file of more than `most` values is not read.
    """
    array = _from_file(folder, text, most) if text.endswith(".npy") else _from_numbers(text)
    with np.errstate(over="ignore"):
        weights = array.astype(np.float32)
    if not np.isfinite(weights).all():
        raise ValueError("holds values that are not finite in float32")
    return weights


def _from_numbers(text: str) -> Array:
    shaped = _SHAPED.fullmatch(text)
    words = (shaped["numbers"] if shaped else text).split(",")
    for word in words:
        if not _NUMBER.fullmatch(word):
            raise ValueError(f"{word[:40]!r} is not a number")
    shape = tuple(int(n) for n in shaped["shape"].split("x")) if shaped else (len(words),)
    if math.prod(shape) != len(words):
        raise ValueError(f"{len(words)} numbers do not fill {shape_text(shape)}")
    return np.array([float(word) for word in words]).reshape(shape)


def _from_file(folder: Path, name: str, most: int) -> Array:
    path = resolve_inside(folder, name)
    try:
        with path.open("rb") as stream, warnings.catch_warnings():
            warnings.simplefilter("error")  # NumPy only warns of some damaged headers
            shape, _, dtype = _HEADERS[npy.read_magic(stream)](stream)
            stored = os.fstat(stream.fileno()).st_size - stream.tell()
            # NumPy allocates what the header says before it looks at the file.
            if dtype.kind not in "fiu" or min(shape, default=1) < 0 or math.prod(shape) * dtype.itemsize != stored:
                raise ValueError(f"{shape_text(shape)} of {dtype} are not its {stored} bytes of numbers")
            if math.prod(shape) > most:
                raise ValueError(f"{shape_text(shape)} values are too many: there is room for {most} more")
            stream.seek(0)
            array: Array = npy.read_array(stream, allow_pickle=False)
    except CnnrtError:
        raise
    except Exception as error:  # parsing a damaged header fails in a dozen ways
        raise ValueError(f"{name} cannot be read as numbers: {str(error)[:200]}") from error
    return array
