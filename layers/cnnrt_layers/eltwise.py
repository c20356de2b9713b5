"""Eltwise: sum, product or maximum of several inputs, value by value."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import attrs
import numpy as np

from cnnrt.errors import KeyValueError, ShapeError
from cnnrt.keys import choice, numbers
from cnnrt.layer import Array, Layer, Shape, shape_text


@attrs.frozen(kw_only=True)
class Eltwise(Layer):
    """Combines inputs of equal shapes value by value: their sum, product or maximum.

    Inputs and output of the same shape, any rank. A sum may weigh its inputs by `coeff`, one factor for each: [1, -1]
    is a difference.
    """

    type = "Eltwise"
    inputs = (1, None)
    folds = ("ReLU",)
    formula = """
        sum:   y = coeff[1] * x1 + coeff[2] * x2 + ...
        prod:  y = x1 * x2 * ...
        max:   y = maximum(x1, x2, ...)
    """
    example = """
        layer {
          type: "Eltwise"
          name: "residual"
          bottom: ["branch1", "branch2"]
          operation: "sum"
        }
    """
    suite = "cnnrt_layers.conformance.suites:EltwiseSuite"

    operation: str = choice("sum", choices={"sum": "sum", "prod": "prod", "max": "max"}, doc="how values are combined")
    coeff: tuple[float, ...] = numbers((), doc="factor of each input of a sum; absent, all are 1")

    def __attrs_post_init__(self) -> None:
        if self.coeff and self.operation != "sum":
            raise KeyValueError("coeff", f"only a sum has factors; leave it out where operation is {self.operation!r}")

    def output_shapes(self, inputs: Sequence[Shape], weights: Mapping[str, Shape]) -> tuple[Shape, ...]:
        """Return the common shape."""
        for number, shape in enumerate(inputs, start=1):
            if shape != inputs[0]:
                raise ShapeError(
                    f"expected inputs of equal shapes, got {shape_text(inputs[0])} and, as input {number}, "
                    f"{shape_text(shape)}"
                )
        if self.coeff and len(self.coeff) != len(inputs):
            raise ShapeError(f"expected one coeff for each of {len(inputs)} inputs, got {len(self.coeff)}")
        return (inputs[0],)

    def is_identity(self, inputs: Sequence[Shape]) -> bool:
        """Tell whether there is only one input, with factor 1."""
        return len(inputs) == 1 and self.coeff in ((), (1.0,))

    def flops(self, inputs: Sequence[Shape], outputs: Sequence[Shape], weights: Mapping[str, Shape]) -> int:
        """Return one operation for each input after the first, and one for each factor."""
        return math.prod(outputs[0]) * (len(inputs) - 1 + len(self.coeff))

    def reference_workspace(
        self, inputs: Sequence[Shape], outputs: Sequence[Shape], weights: Mapping[str, Shape]
    ) -> int:
        """Return the bytes of the result and of one product in float64."""
        return 16 * math.prod(outputs[0])

    def reference(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        """Combine one input after the other in float64; shapes and dtypes as in `Layer.reference`."""
        combine = {"sum": np.add, "prod": np.multiply, "max": np.maximum}[self.operation]
        factors = self.coeff or (1.0,) * len(inputs)
        result = np.multiply(inputs[0], factors[0], dtype=np.float64)
        for x, factor in zip(inputs[1:], factors[1:], strict=True):
            combine(result, x if factor == 1 else np.multiply(x, factor, dtype=np.float64), out=result)
        return (result.astype(inputs[0].dtype, copy=False),)
