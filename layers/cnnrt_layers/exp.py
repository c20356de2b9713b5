"""Exp: a base to the power of each value."""

from __future__ import annotations

import attrs
import numpy as np

from cnnrt.keys import number
from cnnrt.layer import Array
from cnnrt_layers.bases import expect_base
from cnnrt_layers.elementwise import Elementwise


@attrs.frozen(kw_only=True)
class Exp(Elementwise):
    """Raises a base to the power of each value, scaled and shifted before.

    Input and output of any shape. As in Caffe, a base of -1 stands for e = 2.718...
    """

    type = "Exp"
    formula = "y = base ** (shift + scale * x),  e ** (...) where base is -1"
    example = """
        layer {
          type: "Exp"
          name: "exp1"
        }
    """

    base: float = number(-1.0, doc="a positive number, or -1 for e")
    scale: float = number(1.0, doc="factor of the input")
    shift: float = number(0.0, doc="added to the scaled input")

    def __attrs_post_init__(self) -> None:
        expect_base(self.base)

    def apply(self, x: Array) -> Array:
        """Return the power."""
        line: Array = self.shift + self.scale * x
        return np.exp(line) if self.base == -1 else np.power(self.base, line)
