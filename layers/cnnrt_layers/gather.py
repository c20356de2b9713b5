"""Gather: values at stated places."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs
import numpy as np

from cnnrt.errors import ShapeError
from cnnrt.keys import integer, integers
from cnnrt.layer import Array, Shape, shape_text
from cnnrt_layers.axes import resolve_axis
from cnnrt_layers.moves import Moves


@attrs.frozen(kw_only=True)
class Gather(Moves):
    """Takes the values at the places `indices` along an axis, in that order, each as often as it is named.

    Input of any shape; along the axis the output is as long as there are places.
    """

    type = "Gather"
    formula = "y[..., i, ...] = x[..., indices[i], ...]"
    example = """
        layer {
          type: "Gather"
          name: "bgr"
          indices: [2, 1, 0]
        }
    """
    suite = "cnnrt_layers.conformance.repeating:GatherSuite"

    axis: int = integer(1, doc="axis along which values are taken; negative counts from the end")
    indices: tuple[int, ...] = integers(doc="places along the axis, from 0; negative counts from the end")

    def output_shapes(self, inputs: Sequence[Shape], weights: Mapping[str, Shape]) -> tuple[Shape, ...]:
        """Return the input's shape with as many values along the axis as places."""
        (shape,) = inputs
        axis = resolve_axis(self.axis, shape)
        length = shape[axis]
        wrong = [i for i in self.indices if not -length <= i < length]
        if wrong:
            raise ShapeError(f"axis {self.axis} of an input of shape {shape_text(shape)} has no place {wrong[0]}")
        return ((*shape[:axis], len(self.indices), *shape[axis + 1 :]),)

    def reference(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        """Copy the values; shapes and dtypes as in `Layer.reference`."""
        return (np.take(inputs[0], self.indices, axis=self.axis),)
