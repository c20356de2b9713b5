"""Power: a straight line, raised to a power."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np

from cnnrt.keys import number
from cnnrt.layer import Array, Shape
from cnnrt_layers.elementwise import Elementwise


@attrs.frozen(kw_only=True)
class Power(Elementwise):
    """Scales and shifts each value, then raises it to a power; with a power of 1, a straight line.

    Input and output of any shape. A negative number to a broken power is not a number (NaN), and anything to the power
    0 is 1.
    """

    type = "Power"
    formula = "y = (shift + scale * x) ** power"
    example = """
        layer {
          type: "Power"
          name: "power1"
          scale: 0.00390625
        }
    """

    power: float = number(1.0, doc="exponent")
    scale: float = number(1.0, doc="factor of the input")
    shift: float = number(0.0, doc="added to the scaled input")

    def is_identity(self, inputs: Sequence[Shape]) -> bool:
        """Tell whether nothing is scaled, shifted or raised."""
        return (self.power, self.scale, self.shift) == (1, 1, 0)

    def apply(self, x: Array) -> Array:
        """Return the power."""
        line: Array = self.shift + self.scale * x
        return line if self.power == 1 else np.power(line, self.power)
