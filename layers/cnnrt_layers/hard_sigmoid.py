"""HardSigmoid: a sigmoid made of three straight lines."""

from __future__ import annotations

import attrs
import numpy as np

from cnnrt.keys import number
from cnnrt.layer import Array
from cnnrt_layers.elementwise import Elementwise


@attrs.frozen(kw_only=True)
class HardSigmoid(Elementwise):
    """Clips a straight line to 0..1.

    Input and output of any shape. Frameworks differ in the line: ONNX and old versions of Keras take the defaults here,
    PyTorch and MobileNet v3 a slope of 1/6.
    """

    type = "HardSigmoid"
    formula = "y = min(1, max(0, slope * x + offset))"
    example = """
        layer {
          type: "HardSigmoid"
          name: "hard_sigmoid1"
          slope: 0.2
        }
    """

    slope: float = number(0.2, doc="slope of the middle line")
    offset: float = number(0.5, doc="value at 0")

    def apply(self, x: Array) -> Array:
        """Return the line, clipped."""
        return np.clip(self.slope * x + self.offset, 0, 1)
