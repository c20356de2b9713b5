"""TanH: the hyperbolic tangent."""

from __future__ import annotations

import attrs
import numpy as np

from cnnrt.keys import number
from cnnrt.layer import Array
from cnnrt_layers.elementwise import Elementwise


@attrs.frozen(kw_only=True)
class TanH(Elementwise):
    """Squeezes values into -amplitude..amplitude by the hyperbolic tangent.

    Input and output of any shape. Networks of the 1990s, and VELES, use 1.7159 * tanh(2/3 * x) (LeCun et al.,
    "Efficient BackProp", 1998).
    """

    type = "TanH"
    formula = "y = amplitude * tanh(slope * x)"
    example = """
        layer {
          type: "TanH"
          name: "tanh1"
          amplitude: 1.7159
        }
    """

    amplitude: float = number(1.0, doc="largest value of the result")
    slope: float = number(1.0, doc="factor of the input")

    def apply(self, x: Array) -> Array:
        """Return the scaled hyperbolic tangent."""
        return self.amplitude * np.tanh(self.slope * x)
