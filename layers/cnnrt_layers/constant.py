"""Constant: a value that comes out of the parameter file instead of out of another layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs
import numpy as np

from cnnrt.errors import ShapeError
from cnnrt.layer import Array, Shape, WeightSpec
from cnnrt_layers.moves import Moves
from cnnrt_layers.parameters import expect_stored


@attrs.frozen(kw_only=True)
class Constant(Moves):
    """Gives a stored value, such as the other operand of a sum.

    It reads no other layer: without `bottom`, the output is the value as it is stored, of any shape. With a `bottom`,
    the stored value is that of one item, and the output holds it once for each item of that input's batch.
    """

    type = "Constant"
    inputs = (0, 1)
    weights = (WeightSpec("value", "(K)", "what it gives: of any shape"),)
    formula = """
        y = value                without an input
        y[n, ...] = value[...]   with an input (N, ...)
    """
    example = """
        layer {
          type: "Constant"
          name: "offset"
          parameters_file: "offset.msg"
        }
    """
    suite = "cnnrt_layers.conformance.suites:ConstantSuite"

    def output_shapes(self, inputs: Sequence[Shape], weights: Mapping[str, Shape]) -> tuple[Shape, ...]:
        """Return the stored shape, behind the size of the input's batch where there is an input."""
        value = expect_stored("value", weights)
        if not inputs:
            return (value,)
        if not inputs[0]:
            raise ShapeError("expected an input with a batch dimension, got a scalar")
        return ((inputs[0][0], *value),)

    def reference(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        """Copy the value, in the dtype of the input where there is one; shapes as in `Layer.reference`."""
        value = weights["value"]
        if not inputs:
            return (value.copy(),)
        result = np.empty((len(inputs[0]), *value.shape), inputs[0].dtype)
        result[...] = value
        return (result,)
