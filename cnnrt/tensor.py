"""The type of a value that flows between layers: shape, dtype, and how it lies in memory."""

from __future__ import annotations

import math

import attrs
import numpy as np

from cnnrt.layer import Shape, shape_text

PLAIN = "NCHW"
"""The layout in which everything enters and leaves a Net: C-contiguous, in the order of the logical shape."""


@attrs.frozen
class TensorType:
    """Logical `shape` (always in NCHW order, whatever the layout), `dtype` name, and memory `layout`.

    `pitch`: where the values are a part of a larger array, how many of its values lie from the start of one run along
    the last axis in memory (the channels of a pixel, if they come last) to the start of the next; 0: they lie side by
    side.
    """

    shape: Shape
    dtype: str = "float32"
    layout: str = PLAIN
    pitch: int = 0

    @property
    def nbytes(self) -> int:
        """Bytes that the values take."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize

    def __str__(self) -> str:
        """Return it as `16×3×227×227 float32`, with the layout where it is not the plain one."""
        return f"{shape_text(self.shape)} {self.dtype}" + ("" if self.layout == PLAIN else f" {self.layout}")
