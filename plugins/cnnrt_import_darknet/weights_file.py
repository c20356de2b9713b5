"""The .weights file: a header, then the float32 values of all layers one after the other.

Format: `load_weights` of Darknet's parser.c. Three int32 (major, minor, revision), then the number of images that
training saw: 64 bits from version 0.2 on, 32 bits before. Nothing says where a layer's values begin; that follows
from the sizes of all layers before.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import attrs
import numpy as np

from cnnrt.errors import ImportFailure, ParameterFileError, Problem
from cnnrt.layer import Array
from netfile_spec.parameters.regular_file import FileStamp, open_regular

_FLOAT = 4
_WILD = 1000
"""Darknet takes a version with larger numbers as the mark of a file whose connected layers are transposed."""


@attrs.define(eq=False)
class WeightsFile:
    """The file and how far it was taken. `transposed`: matrices of connected layers lie inputs first."""

    path: Path
    stamp: FileStamp
    transposed: bool
    offset: int

    @property
    def values_left(self) -> int:
        """Values that no layer has taken yet."""
        return max(0, (self.stamp.size - self.offset) // _FLOAT)

    @property
    def exhausted(self) -> bool:
        """Whether more was taken than there is."""
        return self.offset > self.stamp.size

    def take(self, *shape: int) -> Callable[[], Array]:
        """Return how to read the next values in this shape, float32; nothing is read or allocated now."""
        offset, count = self.offset, math.prod(shape)
        self.offset += count * _FLOAT

        def make() -> Array:
            values = np.empty(count, "<f4")
            with open_regular(self.path, self.stamp) as file:
                file.read_into(offset, values.view(np.uint8))
            return values.astype(np.float32, copy=False).reshape(shape)

        return make


def open_weights(path: Path) -> WeightsFile:
    """Read the header of a .weights file; raises ImportFailure where it has none."""
    try:
        with open_regular(path) as file:
            head, stamp = file.read(0, 12), file.stamp
    except ParameterFileError as error:
        raise ImportFailure([Problem(str(error).removeprefix(f"{path}: "))], file=str(path)) from None
    if len(head) < 12:
        raise ImportFailure([Problem(f"{stamp.size} bytes: not the weights of a network")], file=str(path))
    major, minor, _ = (int(n) for n in np.frombuffer(head, "<i4"))
    if major < 0 or minor < 0:
        problem = Problem(
            f"the version is {major}.{minor}",
            expected="a .weights file of Darknet",
            hint="is this another kind of file?",
        )
        raise ImportFailure([problem], file=str(path))
    wild = major > _WILD or minor > _WILD
    long = major * 10 + minor >= 2 and major < _WILD and minor < _WILD
    return WeightsFile(path, stamp, wild, 20 if long else 16)
