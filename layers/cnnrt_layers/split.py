"""Split: the same value under several names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from cnnrt.keys import integer
from cnnrt.layer import Array, Shape
from cnnrt_layers.rearrangement import Move, Rearrangement


@attrs.frozen(kw_only=True)
class Split(Rearrangement):
    """Gives its input several times.

    Input and outputs of the same shape, any rank. Caffe puts it where a value has several readers; here a value may be
    read as often as one likes, so only files that state it have it.
    """

    type = "Split"
    formula = "y1 = x, y2 = x, ..."
    example = """
        layer {
          type: "Split"
          name: "split1"
          top: ["one", "other"]
        }
    """

    copies: int = integer(2, doc="how many outputs there are", minimum=1)

    def output_shapes(self, inputs: Sequence[Shape], weights: Mapping[str, Shape]) -> tuple[Shape, ...]:
        """Return the shape of the input, for each output."""
        return (inputs[0],) * self.copies

    def is_identity(self, inputs: Sequence[Shape]) -> bool:
        """Tell that it always is."""
        return True

    def moves(self, x: Array, results: Sequence[Array]) -> Sequence[Move]:
        """Return the input for each result."""
        return [(result, x) for result in results]
