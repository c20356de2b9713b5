"""Log: the logarithm of each value."""

from __future__ import annotations

import attrs
import numpy as np

from cnnrt.errors import KeyValueError
from cnnrt.keys import number
from cnnrt.layer import Array
from cnnrt_layers.bases import expect_base
from cnnrt_layers.elementwise import Elementwise


@attrs.frozen(kw_only=True)
class Log(Elementwise):
    """Takes the logarithm of each value, scaled and shifted before.

    Input and output of any shape. As in Caffe, a base of -1 stands for e = 2.718... The logarithm of 0 is -infinity,
    that of a negative number is not a number (NaN).
    """

    type = "Log"
    formula = "y = log(shift + scale * x) / log(base),  the divisor is 1 where base is -1"
    example = """
        layer {
          type: "Log"
          name: "log1"
          shift: 1
        }
    """

    base: float = number(-1.0, doc="a positive number other than 1, or -1 for e")
    scale: float = number(1.0, doc="factor of the input")
    shift: float = number(0.0, doc="added to the scaled input")

    def __attrs_post_init__(self) -> None:
        expect_base(self.base)
        if self.base == 1:
            raise KeyValueError("base", "there is no logarithm to the base 1")

    def apply(self, x: Array) -> Array:
        """Return the logarithm."""
        logarithm: Array = np.log(self.shift + self.scale * x)
        return logarithm if self.base == -1 else logarithm / np.log(self.base)
