"""SELU: an ELU with a factor, so that activations keep mean 0 and variance 1."""

from __future__ import annotations

import attrs
import numpy as np

from cnnrt.keys import number
from cnnrt.layer import Array
from cnnrt_layers.elementwise import Elementwise


@attrs.frozen(kw_only=True)
class SELU(Elementwise):
    """Scales an ELU (Klambauer et al., "Self-Normalizing Neural Networks", NIPS 2017).

    Input and output of any shape. The defaults are the paper's constants, rounded to float32.
    """

    type = "SELU"
    formula = "y = gamma * x if x > 0 else gamma * alpha * (exp(x) - 1)"
    example = """
        layer {
          type: "SELU"
          name: "selu1"
        }
    """

    alpha: float = number(1.6732631921768188, doc="how far negative values may go down, before the factor")
    gamma: float = number(1.0507010221481323, doc="factor of everything")

    def apply(self, x: Array) -> Array:
        """Return x, and the curve where it is not positive, times gamma."""
        return self.gamma * np.where(x > 0, x, self.alpha * np.expm1(np.minimum(x, 0)))
