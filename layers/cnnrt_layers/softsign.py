"""Softsign: a sigmoid of a quotient, without exponentials."""

from __future__ import annotations

import attrs
import numpy as np

from cnnrt.layer import Array
from cnnrt_layers.elementwise import Elementwise


@attrs.frozen(kw_only=True)
class Softsign(Elementwise):
    """Squeezes values into -1..1; it comes near to the bounds more slowly than the hyperbolic tangent.

    Input and output of any shape.
    """

    type = "Softsign"
    formula = "y = x / (1 + |x|)"
    example = """
        layer {
          type: "Softsign"
          name: "softsign1"
        }
    """

    def apply(self, x: Array) -> Array:
        """Return the quotient."""
        result: Array = x / (1 + np.abs(x))
        return result
