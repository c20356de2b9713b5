"""Sigmoid: any number becomes one between 0 and 1."""

from __future__ import annotations

import attrs
import numpy as np

from cnnrt.layer import Array
from cnnrt_layers.elementwise import Elementwise


@attrs.frozen(kw_only=True)
class Sigmoid(Elementwise):
    """Squeezes values into 0..1 by the logistic function.

    Input and output of any shape.
    """

    type = "Sigmoid"
    formula = "y = 1 / (1 + exp(-x))"
    example = """
        layer {
          type: "Sigmoid"
          name: "sigmoid1"
        }
    """

    def apply(self, x: Array) -> Array:
        """Return exp(min(x, 0)) / (1 + exp(-|x|)), the same without overflow."""
        result = np.exp(np.minimum(x, 0))
        np.exp(np.negative(np.abs(x, out=x), out=x), out=x)
        result /= np.add(x, 1, out=x)
        return result
