"""Permute: the axes change places."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from cnnrt.errors import KeyValueError, ShapeError
from cnnrt.keys import integers
from cnnrt.layer import Array, Shape, shape_text
from cnnrt_layers.rearrangement import Move, Rearrangement


@attrs.frozen(kw_only=True)
class Permute(Rearrangement):
    """Lets the axes change places (SSD's layer; elsewhere Transpose).

    Axis i of the output is axis order[i] of the input. Axes that `order` does not name follow behind, as they were:
    [0, 2, 3, 1] turns (N, C, H, W) into (N, H, W, C), as does [0, 2, 3].
    """

    type = "Permute"
    formula = "y[i0, i1, ...] = x[j0, j1, ...],  where j[order[k]] = i[k]"
    example = """
        layer {
          type: "Permute"
          name: "to_nhwc"
          order: [0, 2, 3, 1]
        }
    """
    suite = "cnnrt_layers.conformance.suites:PermuteSuite"

    order: tuple[int, ...] = integers(doc="for each axis of the output, the input's axis that it is", minimum=0)

    def __attrs_post_init__(self) -> None:
        if len(set(self.order)) < len(self.order):
            raise KeyValueError("order", f"expected each axis once, got {list(self.order)}")

    def axes(self, rank: int) -> tuple[int, ...]:
        """Return the whole order for inputs of `rank` dimensions."""
        return (*self.order, *(axis for axis in range(rank) if axis not in self.order))

    def output_shapes(self, inputs: Sequence[Shape], weights: Mapping[str, Shape]) -> tuple[Shape, ...]:
        """Return the dimensions in their new order."""
        (shape,) = inputs
        if max(self.order) >= len(shape):
            raise ShapeError(f"an input of shape {shape_text(shape)} has no axis {max(self.order)}")
        return (tuple(shape[axis] for axis in self.axes(len(shape))),)

    def is_identity(self, inputs: Sequence[Shape]) -> bool:
        """Tell whether every axis stays where it is."""
        return self.axes(len(inputs[0])) == tuple(range(len(inputs[0])))

    def itemwise(self, inputs: Sequence[Shape]) -> bool:
        """Tell whether the first axis stays where it is."""
        return self.axes(len(inputs[0]))[0] == 0

    def moves(self, x: Array, results: Sequence[Array]) -> Sequence[Move]:
        """Return the input with its axes in the new order."""
        return [(results[0], x.transpose(self.axes(x.ndim)))]
