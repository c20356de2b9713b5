"""Swish: a value times its own sigmoid."""

from __future__ import annotations

import attrs
import numpy as np

from cnnrt.keys import number
from cnnrt.layer import Array
from cnnrt_layers.elementwise import Elementwise


@attrs.frozen(kw_only=True)
class Swish(Elementwise):
    """Multiplies each value by the logistic function of itself (Ramachandran et al., 2017); also known as SiLU.

    Input and output of any shape. A large `beta` comes near to ReLU.
    """

    type = "Swish"
    formula = "y = x / (1 + exp(-beta * x))"
    example = """
        layer {
          type: "Swish"
          name: "swish1"
          beta: 1.0
        }
    """

    beta: float = number(1.0, doc="factor of the value inside the sigmoid")

    def apply(self, x: Array) -> Array:
        """Return the product; the exponential may be infinite, which gives the limit 0."""
        result: Array = x / (1 + np.exp(-self.beta * x))
        return result
