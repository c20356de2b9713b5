"""LogSoftmax: the logarithms of the probabilities that Softmax gives."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import attrs
import numpy as np

from cnnrt.errors import ShapeError
from cnnrt.keys import integer
from cnnrt.layer import Array, Layer, Shape, shape_text
from cnnrt_layers.axes import resolve_axis


@attrs.frozen(kw_only=True)
class LogSoftmax(Layer):
    """Turns scores into the logarithms of probabilities that add up to 1 along an axis.

    Input and output of any shape with that axis. Computed without the probabilities themselves, it keeps its digits
    where they are near 0.
    """

    type = "LogSoftmax"
    formula = "y[c] = x[c] - m - log(sum over d of exp(x[d] - m)),  m = maximum of x along the axis"
    example = """
        layer {
          type: "LogSoftmax"
          name: "log_prob"
        }
    """
    suite = "cnnrt_layers.conformance.suites:LogSoftmaxSuite"

    axis: int = integer(1, doc="axis along which the probabilities add up to 1; negative counts from the end")

    def output_shapes(self, inputs: Sequence[Shape], weights: Mapping[str, Shape]) -> tuple[Shape, ...]:
        """Return the shape of the input."""
        if inputs[0][resolve_axis(self.axis, inputs[0])] == 0:
            raise ShapeError(f"axis {self.axis} of the input {shape_text(inputs[0])} has no values to choose from")
        return (inputs[0],)

    def itemwise(self, inputs: Sequence[Shape]) -> bool:
        """Return True unless the results of all items add up to 1."""
        return resolve_axis(self.axis, inputs[0]) > 0

    def flops(self, inputs: Sequence[Shape], outputs: Sequence[Shape], weights: Mapping[str, Shape]) -> int:
        """Return 5 for each value: comparison, two differences, exponential, sum."""
        return 5 * math.prod(inputs[0])

    def reference(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        """Compute it along the axis; shapes and dtypes as in `Layer.reference`."""
        (x,) = inputs
        shifted = x.astype(np.float64)
        shifted -= x.max(axis=self.axis, keepdims=True)
        shifted -= np.log(np.exp(shifted).sum(axis=self.axis, keepdims=True))
        return (shifted.astype(x.dtype, copy=False),)
