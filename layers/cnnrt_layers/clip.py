"""Clip: values are kept within bounds."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np

from cnnrt.errors import KeyValueError
from cnnrt.keys import optional_number
from cnnrt.layer import Array, Shape
from cnnrt_layers.elementwise import Elementwise


@attrs.frozen(kw_only=True)
class Clip(Elementwise):
    """Replaces what is below `min` by `min` and what is above `max` by `max`; ReLU6 has the bounds 0 and 6.

    Input and output of any shape. Either bound may be absent. What is not a number (NaN) stays so.
    """

    type = "Clip"
    formula = "y = minimum(max, maximum(min, x))"
    example = """
        layer {
          type: "Clip"
          name: "relu6"
          max: 6
          min: 0
        }
    """

    min: float | None = optional_number(doc="least value of the result; absent, there is no bound")
    max: float | None = optional_number(doc="largest value of the result; absent, there is no bound")

    def __attrs_post_init__(self) -> None:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise KeyValueError("min", f"expected at most max {self.max!r}, got {self.min!r}")

    def is_identity(self, inputs: Sequence[Shape]) -> bool:
        """Tell whether there are no bounds."""
        return self.min is None and self.max is None

    def apply(self, x: Array) -> Array:
        """Return the values within the bounds."""
        if self.min is not None:
            np.maximum(x, self.min, out=x)
        if self.max is not None:
            np.minimum(x, self.max, out=x)
        return x
