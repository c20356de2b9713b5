"""Softplus: a ReLU without the corner."""

from __future__ import annotations

import attrs
import numpy as np

from cnnrt.layer import Array
from cnnrt_layers.elementwise import Elementwise


@attrs.frozen(kw_only=True)
class Softplus(Elementwise):
    """Is near 0 for negative values and near x for positive ones (Caffe's BNLL).

    Input and output of any shape.
    """

    type = "Softplus"
    formula = "y = log(1 + exp(x))"
    example = """
        layer {
          type: "Softplus"
          name: "softplus1"
        }
    """

    def apply(self, x: Array) -> Array:
        """Return the logarithm, without overflow."""
        return np.logaddexp(0, x)
