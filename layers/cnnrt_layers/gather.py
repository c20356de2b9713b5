"""Gather: values at stated places."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs
import numpy as np

from cnnrt.errors import ShapeError
from cnnrt.keys import integer, integers
from cnnrt.layer import Array, Shape, shape_text
from cnnrt_layers.axes import resolve_axis
from cnnrt_layers.rearrangement import Move, Rearrangement


@attrs.frozen(kw_only=True)
class Gather(Rearrangement):
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

    def moves(self, x: Array, results: Sequence[Array]) -> Sequence[Move]:
        """Return runs of places that lie equally far apart, each as one view."""
        axis = resolve_axis(self.axis, x.shape)
        target, source = np.moveaxis(results[0], axis, 0), np.moveaxis(x, axis, 0)
        runs = _runs([place % len(source) for place in self.indices])
        return [(target[first : first + count], source[places]) for first, count, places in runs]


def _runs(places: Sequence[int]) -> list[tuple[int, int, slice]]:
    """Return (number of the first, count, the places) of runs of places that lie equally far apart."""
    runs = []
    first = 0
    while first < len(places):
        step = places[first + 1] - places[first] if first + 1 < len(places) else 1
        last = first
        while step and last + 1 < len(places) and places[last + 1] - places[last] == step:
            last += 1
        stop = places[last] + (1 if step >= 0 else -1)
        runs.append((first, last - first + 1, slice(places[first], None if stop < 0 else stop, step or 1)))
        first = last + 1
    return runs
