"""ELU: negative values end in a smooth curve."""

from __future__ import annotations

import attrs
import numpy as np

from cnnrt.keys import number
from cnnrt.layer import Array
from cnnrt_layers.elementwise import Elementwise


@attrs.frozen(kw_only=True)
class ELU(Elementwise):
    """Keeps positive values and lets negative ones approach -alpha (Clevert et al., ICLR 2016).

    Input and output of any shape.
    """

    type = "ELU"
    formula = "y = x if x > 0 else alpha * (exp(x) - 1)"
    example = """
        layer {
          type: "ELU"
          name: "elu1"
          alpha: 0.5
        }
    """

    alpha: float = number(1.0, doc="how far negative values may go down")

    def apply(self, x: Array) -> Array:
        """Return x, and the curve where it is not positive."""
        return np.where(x > 0, x, self.alpha * np.expm1(np.minimum(x, 0)))
