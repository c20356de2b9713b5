"""Unary: the rarer functions of one value."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import attrs
import numpy as np

from cnnrt.keys import choice
from cnnrt.layer import Array
from cnnrt_layers.elementwise import Elementwise
from cnnrt_layers.error_function import error_function

FUNCTIONS: Mapping[str, Callable[[Array], Array]] = {
    "sqrt": np.sqrt,
    "square": np.square,
    "reciprocal": np.reciprocal,
    "neg": np.negative,
    "sign": np.sign,
    "floor": np.floor,
    "ceil": np.ceil,
    "round": np.rint,
    "erf": error_function,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
}
"""Each operation, from float64 to float64."""


@attrs.frozen(kw_only=True)
class Unary(Elementwise):
    """Applies a function to each value.

    Input and output of any shape. Here are the functions that networks use now and then and that no layer of their own
    exists for. `round` takes halves to the even neighbour. Outside of a function's domain the result is not a number
    (NaN).
    """

    type = "Unary"
    formula = "y = operation(x)"
    example = """
        layer {
          type: "Unary"
          name: "root1"
          operation: "sqrt"
        }
    """

    operation: str = choice(choices={name: name for name in FUNCTIONS}, doc="the function; angles are in radians")

    def apply(self, x: Array) -> Array:
        """Return the function's values."""
        return FUNCTIONS[self.operation](x)
