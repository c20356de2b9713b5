"""Threshold: values up to a bound are replaced."""

from __future__ import annotations

import attrs
import numpy as np

from cnnrt.keys import number
from cnnrt.layer import Array
from cnnrt_layers.elementwise import Elementwise


@attrs.frozen(kw_only=True)
class Threshold(Elementwise):
    """Keeps values above `threshold` and puts `value` in place of all others (Torch's Threshold; with the defaults, a
    ReLU).

    Input and output of any shape. Caffe's layer of this name gives 1 above the threshold and 0 below it.
    """

    type = "Threshold"
    formula = "y = x if x > threshold else value"
    example = """
        layer {
          type: "Threshold"
          name: "threshold1"
          threshold: 0.000001
        }
    """

    threshold: float = number(0.0, doc="values above it are kept")
    value: float = number(0.0, doc="what all others become")

    def apply(self, x: Array) -> Array:
        """Return x where it is above; what is not a number is not."""
        return np.where(x > self.threshold, x, self.value)
