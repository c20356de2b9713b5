"""Crop: the input is cut to the size of another one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from cnnrt.errors import ShapeError
from cnnrt.keys import integer, integers
from cnnrt.layer import Array, Shape, shape_text
from cnnrt_layers.axes import resolve_axis
from cnnrt_layers.rearrangement import Move, Rearrangement


@attrs.frozen(kw_only=True)
class Crop(Rearrangement):
    """Cuts the first input, from `axis` on, to the size of the second one, whose values do not matter.

    Inputs of equal rank. The dimensions before `axis` are those of the first input, the others those of the second.
    Fully convolutional networks (Long et al., CVPR 2015) join branches of different size with it.
    """

    type = "Crop"
    inputs = (2, 2)
    formula = "y[..., i, j] = x1[..., i + offset[0], j + offset[1]],  i and j up to the size of x2"
    example = """
        layer {
          type: "Crop"
          name: "crop1"
          bottom: ["branch1", "branch2"]
          offset: 5
        }
    """
    suite = "cnnrt_layers.conformance.suites:CropSuite"

    axis: int = integer(2, doc="first of the axes that are cut; negative counts from the end")
    offset: tuple[int, ...] = integers((0,), doc="first place kept: one for all axes, or one for each", minimum=0)

    def starts(self, shape: Shape) -> Shape:
        """Return the first place that is kept along each axis of the first input."""
        axis = resolve_axis(self.axis, shape)
        cut = len(shape) - axis
        if len(self.offset) not in (1, cut):
            raise ShapeError(
                f"an input of {shape_text(shape)} is cut along {cut} axes: expected 1 or {cut} offsets, "
                f"got {len(self.offset)}"
            )
        return (*(0,) * axis, *(self.offset * cut if len(self.offset) == 1 else self.offset))

    def output_shapes(self, inputs: Sequence[Shape], weights: Mapping[str, Shape]) -> tuple[Shape, ...]:
        """Return the first dimensions of the first input, then those of the second."""
        whole, wanted = inputs
        if len(wanted) != len(whole):
            raise ShapeError(f"expected inputs of equal rank, got {shape_text(whole)} and {shape_text(wanted)}")
        axis = resolve_axis(self.axis, whole)
        for start, size, kept in list(zip(self.starts(whole), whole, wanted, strict=True))[axis:]:
            if start + kept > size:
                raise ShapeError(
                    f"{kept} values from place {start} on do not lie in an axis of length {size}: the inputs are "
                    f"{shape_text(whole)} and {shape_text(wanted)}"
                )
        return ((*whole[:axis], *wanted[axis:]),)

    def moves(self, x: Array, results: Sequence[Array]) -> Sequence[Move]:
        """Return the part that is kept."""
        starts = self.starts(x.shape)
        kept = tuple(slice(start, start + size) for start, size in zip(starts, results[0].shape, strict=True))
        return [(results[0], x[kept])]
