"""AbsVal: the absolute value."""

from __future__ import annotations

import attrs
import numpy as np

from cnnrt.layer import Array
from cnnrt_layers.elementwise import Elementwise


@attrs.frozen(kw_only=True)
class AbsVal(Elementwise):
    """Drops the sign of each value.

    Input and output of any shape.
    """

    type = "AbsVal"
    formula = "y = |x|"
    example = """
        layer {
          type: "AbsVal"
          name: "abs1"
        }
    """

    def apply(self, x: Array) -> Array:
        """Return the absolute values."""
        return np.abs(x)
