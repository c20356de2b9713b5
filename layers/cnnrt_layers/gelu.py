"""GELU: a value times the share of a normal distribution below it."""

from __future__ import annotations

import math

import attrs
import numpy as np

from cnnrt.keys import choice
from cnnrt.layer import Array
from cnnrt_layers.elementwise import Elementwise
from cnnrt_layers.error_function import normal_distribution


@attrs.frozen(kw_only=True)
class GELU(Elementwise):
    """Multiplies each value by the normal distribution function of itself (Hendrycks and Gimpel, 2016).

    Input and output of any shape. The paper's approximation by a hyperbolic tangent, which many networks were trained
    with, is off by up to 5e-4.
    """

    type = "GELU"
    formula = """
        none:  y = x * (1 + erf(x / sqrt(2))) / 2
        tanh:  y = x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x ** 3))) / 2
    """
    example = """
        layer {
          type: "GELU"
          name: "gelu1"
          approximate: "tanh"
        }
    """

    approximate: str = choice(
        "none", choices={"none": "none", "tanh": "tanh"}, doc="how the distribution function is computed"
    )

    def apply(self, x: Array) -> Array:
        """Return the product."""
        if self.approximate == "tanh":
            # (1 + tanh(z)) / 2 is the logistic function of 2 z, which keeps its digits where it is small.
            share = 1 / (1 + np.exp(-2 * math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
        else:
            share = normal_distribution(x)
        share *= x
        return share
