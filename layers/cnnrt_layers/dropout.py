"""Dropout: something that training does and inference does not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from cnnrt.keys import number
from cnnrt.layer import Array, Shape
from cnnrt_layers.rearrangement import Move, Rearrangement


@attrs.frozen(kw_only=True)
class Dropout(Rearrangement):
    """Gives its input unchanged: values are dropped in training only.

    Input and output of any shape. As in Caffe the values that training kept were scaled up there, so nothing has to be
    scaled here, whatever the ratio. A pass removes the layer.
    """

    type = "Dropout"
    formula = "y = x"
    example = """
        layer {
          type: "Dropout"
          name: "drop6"
          dropout_ratio: 0.5
        }
    """
    suite = "cnnrt_layers.conformance.suites:DropoutSuite"

    dropout_ratio: float = number(0.5, minimum=0, maximum=1, doc="share of values dropped in training")

    def output_shapes(self, inputs: Sequence[Shape], weights: Mapping[str, Shape]) -> tuple[Shape, ...]:
        """Return the shape of the input."""
        return (inputs[0],)

    def is_identity(self, inputs: Sequence[Shape]) -> bool:
        """Tell that it always is."""
        return True

    def itemwise(self, inputs: Sequence[Shape]) -> bool:
        """Return True: nothing changes."""
        return True

    def moves(self, x: Array, results: Sequence[Array]) -> Sequence[Move]:
        """Return the input."""
        return [(results[0], x)]
