"""Expand: values repeated along axes of length 1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs
import numpy as np

from cnnrt.errors import ShapeError
from cnnrt.keys import integers
from cnnrt.layer import Array, Shape, shape_text
from cnnrt_layers.rearrangement import Move, Rearrangement


@attrs.frozen(kw_only=True)
class Expand(Rearrangement):
    """Repeats the input along axes of length 1, and along new ones in front, until it has a shape (ONNX's Expand).

    Input of any shape, which is aligned with `shape` at the end, as in NumPy: of two lengths one has to be 1, or both
    are the same. A 1 in `shape` keeps what the input has, so that [1, 8, 8] makes a map of each channel's only value.
    """

    type = "Expand"
    formula = "y = x, repeated wherever the output is longer than 1 and the input is not"
    example = """
        layer {
          type: "Expand"
          name: "map"
          shape: [1, 8, 8]
        }
    """
    suite = "cnnrt_layers.conformance.repeating:ExpandSuite"

    shape: tuple[int, ...] = integers(doc="lengths of the last axes; 1: as in the input", minimum=1)

    def output_shapes(self, inputs: Sequence[Shape], weights: Mapping[str, Shape]) -> tuple[Shape, ...]:
        """Return the common shape."""
        try:
            return (np.broadcast_shapes(inputs[0], self.shape),)
        except ValueError:
            raise ShapeError(
                f"an input of shape {shape_text(inputs[0])} cannot be repeated to {list(self.shape)}: aligned at the "
                "end, lengths must be equal, or one of them 1"
            ) from None

    def is_identity(self, inputs: Sequence[Shape]) -> bool:
        """Tell whether nothing is repeated."""
        return self.output_shapes(inputs, {}) == tuple(inputs)

    def moves(self, x: Array, results: Sequence[Array]) -> Sequence[Move]:
        """Return the input, broadcast."""
        return [(results[0], np.broadcast_to(x, results[0].shape))]
