"""Mish: a value times the hyperbolic tangent of its softplus."""

from __future__ import annotations

import attrs
import numpy as np

from cnnrt.layer import Array
from cnnrt_layers.elementwise import Elementwise


@attrs.frozen(kw_only=True)
class Mish(Elementwise):
    """Multiplies each value by the hyperbolic tangent of its softplus (Misra, BMVC 2020); YOLOv4's activation.

    Input and output of any shape.
    """

    type = "Mish"
    formula = "y = x * tanh(log(1 + exp(x)))"
    example = """
        layer {
          type: "Mish"
          name: "mish1"
        }
    """

    def apply(self, x: Array) -> Array:
        """Return the product, without overflow."""
        result: Array = x * np.tanh(np.logaddexp(0, x))
        return result
