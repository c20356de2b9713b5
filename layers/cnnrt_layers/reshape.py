"""Reshape: the same values in the same order, under other dimensions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import attrs

from cnnrt.errors import KeyValueError, ShapeError
from cnnrt.keys import integer, integers
from cnnrt.layer import Array, Shape, shape_text
from cnnrt_layers.moves import Moves


@attrs.frozen(kw_only=True)
class Reshape(Moves):
    """Gives the values other dimensions; they stay where they are.

    Of the input's dimensions, the `num_axes` from `axis` on are replaced by `shape`. In it, 0 keeps the dimension at
    that place and -1 stands for what is left over. Input (N, C, H, W): [0, -1] gives (N, C × H × W), as does [-1] with
    axis 1.
    """

    type = "Reshape"
    view = True
    formula = "y holds the values of x in the same order, in the shape x[:axis] + shape + x[axis + num_axes:]"
    example = """
        layer {
          type: "Reshape"
          name: "reshape1"
          shape: [0, 2, -1]
        }
    """
    suite = "cnnrt_layers.conformance.suites:ReshapeSuite"

    shape: tuple[int, ...] = integers(doc="new dimensions; 0: as in the input, -1: what is left over", minimum=-1)
    axis: int = integer(0, doc="first of the dimensions that are replaced; negative: from the end, -1 behind the last")
    num_axes: int = integer(-1, doc="how many dimensions are replaced; -1: all from axis on", minimum=-1)

    def __attrs_post_init__(self) -> None:
        if self.shape.count(-1) > 1:
            raise KeyValueError("shape", "only one dimension can be what is left over: expected at most one -1")

    def output_shapes(self, inputs: Sequence[Shape], weights: Mapping[str, Shape]) -> tuple[Shape, ...]:
        """Return the dimensions before, the new ones, and those behind."""
        (given,) = inputs
        first = self.axis if self.axis >= 0 else len(given) + self.axis + 1
        last = len(given) if self.num_axes == -1 else first + self.num_axes
        if not 0 <= first <= last <= len(given):
            raise ShapeError(
                f"an input of shape {shape_text(given)} has no axes {first} to {last}: check axis and num_axes"
            )
        new = []
        for place, size in enumerate(self.shape, start=first):
            if size == 0 and place >= len(given):
                raise ShapeError(f"an input of shape {shape_text(given)} has no axis {place}, which 0 would keep")
            new.append(given[place] if size == 0 else size)
        values = math.prod(given[first:last])
        if -1 in new:
            others = math.prod(size for size in new if size != -1)
            if others and values % others == 0:
                new[new.index(-1)] = values // others
            elif others == values == 0:
                new[new.index(-1)] = self._left_over_of_none(given, first, last)
        if -1 in new or math.prod(new) != values:
            raise ShapeError(
                f"{values} values of an input of shape {shape_text(given)} do not fill the shape {list(self.shape)}"
            )
        return ((*given[:first], *new, *given[last:]),)

    def _left_over_of_none(self, given: Shape, first: int, last: int) -> int:
        """Return what -1 stands for where a kept dimension, an empty batch, is 0: as if that were 1."""
        kept = {place for place, size in enumerate(self.shape, start=first) if size == 0 and given[place] == 0}
        values = math.prod(size for place, size in enumerate(given[first:last], start=first) if place not in kept)
        others = math.prod(
            (given[place] if size == 0 else size)
            for place, size in enumerate(self.shape, start=first)
            if place not in kept and size != -1
        )
        return values // others if others and values % others == 0 else 0

    def is_identity(self, inputs: Sequence[Shape]) -> bool:
        """Tell whether the new shape is the old one."""
        return self.output_shapes(inputs, {}) == tuple(inputs)

    def reference(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        """Copy the input under its new shape; shapes and dtypes as in `Layer.reference`."""
        (shape,) = self.output_shapes([inputs[0].shape], {})
        return (inputs[0].copy().reshape(shape),)
