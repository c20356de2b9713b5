"""CumulativeSum: each value with all before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs
import numpy as np

from cnnrt.keys import boolean, integer
from cnnrt.layer import Array, Layer, Shape
from cnnrt_layers.axes import resolve_axis


@attrs.frozen(kw_only=True)
class CumulativeSum(Layer):
    """Adds to each value all those before it along an axis (ONNX's CumSum). Input and output of any shape."""

    type = "CumulativeSum"
    formula = """
        y[i] = x[0] + x[1] + ... + x[i]      along the axis; with exclusive, only up to x[i - 1]
        with reverse, from the end:  y[i] = x[i] + x[i + 1] + ...
    """
    example = """
        layer {
          type: "CumulativeSum"
          name: "positions"
          axis: 2
        }
    """
    suite = "cnnrt_layers.conformance.repeating:CumulativeSumSuite"

    axis: int = integer(1, doc="axis along which values are added up; negative counts from the end")
    exclusive: bool = boolean(False, doc="leave out the value itself")
    reverse: bool = boolean(False, doc="add up from the end")

    def output_shapes(self, inputs: Sequence[Shape], weights: Mapping[str, Shape]) -> tuple[Shape, ...]:
        """Return the input's shape."""
        resolve_axis(self.axis, inputs[0])
        return (inputs[0],)

    def reference(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        """Add up in float64; shapes and dtypes as in `Layer.reference`."""
        (x,) = inputs
        turned = np.flip(x, self.axis) if self.reverse else x
        sums = np.cumsum(turned, self.axis, dtype=np.float64)
        if self.exclusive:
            sums -= turned
        return ((np.flip(sums, self.axis) if self.reverse else sums).astype(x.dtype),)
