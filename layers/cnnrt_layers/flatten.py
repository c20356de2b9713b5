"""Flatten: several dimensions become one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import attrs

from cnnrt.errors import ShapeError
from cnnrt.keys import integer
from cnnrt.layer import Array, Layer, Shape, shape_text
from cnnrt_layers.axes import resolve_axis


@attrs.frozen(kw_only=True)
class Flatten(Layer):
    """Joins the dimensions from `axis` to `end_axis`, both included, into one; the values stay where they are.

    Input of any shape that has these axes. With the defaults, (N, C, H, W) becomes (N, C × H × W).
    """

    type = "Flatten"
    view = True
    formula = "y[n, (c * H + i) * W + j] = x[n, c, i, j]"
    example = """
        layer {
          type: "Flatten"
          name: "flatten"
        }
    """
    suite = "cnnrt_layers.conformance.suites:FlattenSuite"

    axis: int = integer(1, doc="first of the dimensions to join; negative counts from the end")
    end_axis: int = integer(-1, doc="last of the dimensions to join; negative counts from the end")

    def output_shapes(self, inputs: Sequence[Shape], weights: Mapping[str, Shape]) -> tuple[Shape, ...]:
        """Return the shape with the joined dimensions multiplied."""
        (shape,) = inputs
        first, last = resolve_axis(self.axis, shape), resolve_axis(self.end_axis, shape, "end_axis")
        if last < first:
            raise ShapeError(
                f"axis {self.axis} comes after end_axis {self.end_axis} in an input of shape {shape_text(shape)}"
            )
        return ((*shape[:first], math.prod(shape[first : last + 1]), *shape[last + 1 :]),)

    def itemwise(self, inputs: Sequence[Shape]) -> bool:
        """Return True unless items are joined."""
        return resolve_axis(self.axis, inputs[0]) > 0

    def flops(self, inputs: Sequence[Shape], outputs: Sequence[Shape], weights: Mapping[str, Shape]) -> int:
        """Return 0."""
        return 0

    def reference_workspace(
        self, inputs: Sequence[Shape], outputs: Sequence[Shape], weights: Mapping[str, Shape]
    ) -> int:
        """Return 0."""
        return 0

    def reference(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        """Copy the input under its new shape; shapes and dtypes as in `Layer.reference`."""
        (shape,) = self.output_shapes([inputs[0].shape], {})
        return (inputs[0].copy().reshape(shape),)
