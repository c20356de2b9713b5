"""ReLU: negative values become zero, or small."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs
import numpy as np

from cnnrt.keys import number
from cnnrt.layer import Array, Layer, Part, Place, Shape
from cnnrt_layers.gathered import gathered


@attrs.frozen(kw_only=True)
class ReLU(Layer):
    """Keeps positive values and multiplies negative ones by `negative_slope`, by default 0.

    Input and output of any shape. A pass folds it into the Convolution, FullyConnected, Pooling, BatchNorm or Eltwise
    before it. With a slope other than 0 it is known as leaky ReLU.
    """

    type = "ReLU"
    formula = "y = x if x > 0 else negative_slope * x"
    example = """
        layer {
          type: "ReLU"
          name: "relu1"
        }
    """
    suite = "cnnrt_layers.conformance.suites:ReLUSuite"

    negative_slope: float = number(0.0, doc="factor of negative values")

    def output_shapes(self, inputs: Sequence[Shape], weights: Mapping[str, Shape]) -> tuple[Shape, ...]:
        """Return the shape of the input."""
        return (inputs[0],)

    def itemwise(self, inputs: Sequence[Shape]) -> bool:
        """Return True: every value by itself."""
        return True

    def reference(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        """Compute it value by value; shapes and dtypes as in `Layer.reference`."""
        (x,) = inputs
        if self.negative_slope == 0:
            # Not 0 * x, which makes infinities NaN and zeros negative.
            return (np.maximum(x, 0),)
        below = np.multiply(x, self.negative_slope, dtype=np.float64)
        return (np.where(x > 0, x, below).astype(x.dtype),)

    def parts_at(
        self, inputs: Sequence[Array], weights: Mapping[str, Array], places: Sequence[Place], output: int = 0
    ) -> Sequence[Part]:
        """Return the values at these places."""
        return [gathered(self, inputs, weights, places)]
