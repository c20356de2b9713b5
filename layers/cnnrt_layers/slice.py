"""Slice: the input is cut into pieces along an axis."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import attrs

from cnnrt.errors import KeyValueError, ShapeError
from cnnrt.keys import integer, integers, optional_integer
from cnnrt.layer import Array, Shape, shape_text
from cnnrt_layers.axes import resolve_axis
from cnnrt_layers.rearrangement import Move, Rearrangement


@attrs.frozen(kw_only=True)
class Slice(Rearrangement):
    """Cuts the input into pieces along an axis: the opposite of Concat. It gives several values.

    Input of any shape. With `slice_point` there is one piece more than points, the first from 0 to the first point;
    with `parts`, so many pieces of equal length, the last one shorter where the length does not come out even.
    """

    type = "Slice"
    formula = "y1, y2, ... = x cut along the axis, before each of the slice points"
    example = """
        layer {
          type: "Slice"
          name: "slice1"
          top: ["left", "right"]
          axis: 1
          slice_point: 1
        }
    """
    suite = "cnnrt_layers.conformance.suites:SliceSuite"

    axis: int = integer(1, doc="axis that is cut; negative counts from the end")
    slice_point: tuple[int, ...] | None = integers(None, doc="where the second, third, ... piece begins", minimum=0)
    parts: int | None = optional_integer(doc="number of pieces of equal length, instead of slice_point", minimum=1)

    def __attrs_post_init__(self) -> None:
        if (self.slice_point is None) == (self.parts is None):
            raise KeyValueError("slice_point", "expected either slice_point or parts, so that the pieces are known")
        if self.slice_point is not None and sorted(self.slice_point) != list(self.slice_point):
            raise KeyValueError("slice_point", f"expected points in ascending order, got {list(self.slice_point)}")

    def pieces(self, shape: Shape) -> list[slice]:
        """Return the place of each piece along the axis; ShapeError where it is too short."""
        length = shape[resolve_axis(self.axis, shape)]
        if self.slice_point is not None:
            points = list(self.slice_point)
        else:
            parts = self.parts or 1
            step = -(-length // parts)
            if step * (parts - 1) >= max(1, length):
                raise ShapeError(f"axis {self.axis} of {shape_text(shape)} is too short for {parts} pieces")
            if parts > 1 + length:
                raise ShapeError(f"axis {self.axis} of {shape_text(shape)} has no values for {parts} pieces")
            points = [step * number for number in range(1, parts)]
        if points and points[-1] > length:
            raise ShapeError(f"axis {self.axis} of {shape_text(shape)} ends before the slice point {points[-1]}")
        return [slice(start, stop) for start, stop in itertools.pairwise([0, *points, length])]

    def output_shapes(self, inputs: Sequence[Shape], weights: Mapping[str, Shape]) -> tuple[Shape, ...]:
        """Return the shape of each piece."""
        (shape,) = inputs
        axis = resolve_axis(self.axis, shape)
        return tuple((*shape[:axis], p.stop - p.start, *shape[axis + 1 :]) for p in self.pieces(shape))

    def is_identity(self, inputs: Sequence[Shape]) -> bool:
        """Tell whether there is only one piece."""
        return self.parts == 1

    def itemwise(self, inputs: Sequence[Shape]) -> bool:
        """Tell whether another axis than the first is cut."""
        return resolve_axis(self.axis, inputs[0]) != 0

    def moves(self, x: Array, results: Sequence[Array]) -> Sequence[Move]:
        """Return the pieces."""
        before = (slice(None),) * resolve_axis(self.axis, x.shape)
        return [(result, x[(*before, piece)]) for result, piece in zip(results, self.pieces(x.shape), strict=True)]
