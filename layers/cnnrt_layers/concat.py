"""Concat: several inputs one after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs
import numpy as np

from cnnrt.errors import ShapeError
from cnnrt.keys import integer
from cnnrt.layer import Array, Layer, Shape, shape_text
from cnnrt_layers.axes import resolve_axis


@attrs.frozen(kw_only=True)
class Concat(Layer):
    """Puts its inputs one after the other along an axis.

    Inputs of equal shapes except for that axis; along it, the output is as long as all of them together. The usual
    axis 1 joins channels: (N, C1, H, W) and (N, C2, H, W) give (N, C1 + C2, H, W).
    """

    type = "Concat"
    inputs = (1, None)
    formula = "y = x1 followed by x2, x3, ... along the axis"
    example = """
        layer {
          type: "Concat"
          name: "inception_3a"
          bottom: ["branch1", "branch2"]
        }
    """
    suite = "cnnrt_layers.conformance.suites:ConcatSuite"

    axis: int = integer(1, doc="axis along which the inputs follow one another; negative counts from the end")

    def output_shapes(self, inputs: Sequence[Shape], weights: Mapping[str, Shape]) -> tuple[Shape, ...]:
        """Return the common shape with the lengths along the axis added up."""
        axis = resolve_axis(self.axis, inputs[0])
        before, after = inputs[0][:axis], inputs[0][axis + 1 :]
        for number, shape in enumerate(inputs, start=1):
            if len(shape) != len(inputs[0]) or (shape[:axis], shape[axis + 1 :]) != (before, after):
                raise ShapeError(
                    f"expected inputs of equal shapes except for axis {axis}, got {shape_text(inputs[0])} "
                    f"and, as input {number}, {shape_text(shape)}"
                )
        return ((*before, sum(shape[axis] for shape in inputs), *after),)

    def joined_axis(self, inputs: Sequence[Shape]) -> int:
        """Return the axis."""
        return resolve_axis(self.axis, inputs[0])

    def itemwise(self, inputs: Sequence[Shape]) -> bool:
        """Return True unless items are joined."""
        return self.axis % len(inputs[0]) != 0

    def is_identity(self, inputs: Sequence[Shape]) -> bool:
        """Tell whether there is only one input."""
        return len(inputs) == 1

    def flops(self, inputs: Sequence[Shape], outputs: Sequence[Shape], weights: Mapping[str, Shape]) -> int:
        """Return 0: values are only moved."""
        return 0

    def reference_workspace(
        self, inputs: Sequence[Shape], outputs: Sequence[Shape], weights: Mapping[str, Shape]
    ) -> int:
        """Return 0: values are copied to where they belong."""
        return 0

    def reference(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        """Copy the inputs; shapes and dtypes as in `Layer.reference`."""
        return (np.concatenate(inputs, axis=self.axis, dtype=inputs[0].dtype),)
