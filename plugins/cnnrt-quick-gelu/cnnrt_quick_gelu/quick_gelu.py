"""QuickGelu: a value times a sigmoid of it, which comes near to GELU."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import attrs
import numpy as np

from cnnrt.keys import number
from cnnrt.layer import Array, Layer, Shape


@attrs.frozen(kw_only=True)
class QuickGelu(Layer):
    """Multiplies each value by a sigmoid of it (Hendrycks and Gimpel, 2016, arXiv 1606.08415, section 2).

    Input and output of any shape. With `beta` 1.702 it is the GELU that CLIP was trained with; with 0 it halves every
    value, and with a large `beta` it comes close to ReLU.
    """

    type = "QuickGelu"
    formula = "y = x / (1 + exp(-beta * x))"
    example = """
        layer {
          type: "QuickGelu"
          name: "gelu1"
          beta: 1.5
        }
    """

    beta: float = number(1.702, doc="steepness of the sigmoid")

    def output_shapes(self, inputs: Sequence[Shape], weights: Mapping[str, Shape]) -> tuple[Shape, ...]:
        """Return the input's shape."""
        return (inputs[0],)

    def flops(self, inputs: Sequence[Shape], outputs: Sequence[Shape], weights: Mapping[str, Shape]) -> int:
        """Return 4 for each value: product, exponential, sum, quotient."""
        return 4 * math.prod(inputs[0])

    def reference(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        """Compute in float64, return the input's dtype."""
        x = inputs[0].astype(np.float64)
        with np.errstate(over="ignore"):  # exp gives infinity for very negative values, and they become 0
            return ((x / (1 + np.exp(-self.beta * x))).astype(inputs[0].dtype),)
