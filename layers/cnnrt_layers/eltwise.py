"""Eltwise: several inputs are combined value by value."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import attrs
import numpy as np

from cnnrt.errors import KeyValueError, ShapeError
from cnnrt.keys import choice, numbers
from cnnrt.layer import Array, Layer, Part, Place, Shape
from cnnrt_layers.broadcasting import broadcast_shape
from cnnrt_layers.gathered import gathered

COMBINE: Mapping[str, np.ufunc] = {
    "sum": np.add,
    "mean": np.add,
    "prod": np.multiply,
    "max": np.maximum,
    "min": np.minimum,
    "sub": np.subtract,
    "div": np.divide,
    "pow": np.power,
}
PAIRS = ("sub", "div", "pow")
"""Operations of exactly two inputs."""


@attrs.frozen(kw_only=True)
class Eltwise(Layer):
    """Combines inputs value by value: their sum, product, largest, ...

    Inputs of any rank. Where shapes differ they are broadcast as in NumPy and ONNX: aligned at their ends, an axis of
    length 1, or one that is missing in front, counts as repeated. A sum may weigh its inputs by `coeff`, one factor for
    each: [1, -1] is a difference. `sub`, `div` and `pow` take exactly two inputs.
    """

    type = "Eltwise"
    inputs = (1, None)
    folds = ("ReLU", "Clip")
    formula = """
        sum:   y = coeff[1] * x1 + coeff[2] * x2 + ...
        mean:  y = (x1 + x2 + ...) / number of inputs
        prod:  y = x1 * x2 * ...
        max:   y = maximum(x1, x2, ...)
        min:   y = minimum(x1, x2, ...)
        sub:   y = x1 - x2
        div:   y = x1 / x2
        pow:   y = x1 ** x2
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

    operation: str = choice("sum", choices={name: name for name in COMBINE}, doc="how values are combined")
    coeff: tuple[float, ...] = numbers((), doc="factor of each input of a sum; absent, all are 1")

    def __attrs_post_init__(self) -> None:
        if self.coeff and self.operation != "sum":
            raise KeyValueError("coeff", f"only a sum has factors; leave it out where operation is {self.operation!r}")

    def output_shapes(self, inputs: Sequence[Shape], weights: Mapping[str, Shape]) -> tuple[Shape, ...]:
        """Return the common shape."""
        if self.operation in PAIRS and len(inputs) != 2:
            raise ShapeError(f"operation {self.operation!r} takes exactly two inputs, got {len(inputs)}")
        if self.coeff and len(self.coeff) != len(inputs):
            raise ShapeError(f"expected one coeff for each of {len(inputs)} inputs, got {len(self.coeff)}")
        return (broadcast_shape(inputs),)

    def itemwise(self, inputs: Sequence[Shape]) -> bool:
        """Return True where the inputs have as many items."""
        return len({len(s) for s in inputs}) == 1 and len({s[:1] for s in inputs}) == 1

    def is_identity(self, inputs: Sequence[Shape]) -> bool:
        """Tell whether there is only one input, with factor 1."""
        return len(inputs) == 1 and self.coeff in ((), (1.0,))

    def is_sum(self, inputs: Sequence[Shape]) -> bool:
        """Tell whether it adds two inputs of one shape, without factors."""
        unweighted = self.operation == "sum" and set(self.coeff) <= {1.0}
        return unweighted and len(inputs) == 2 and inputs[0] == inputs[1]

    def flops(self, inputs: Sequence[Shape], outputs: Sequence[Shape], weights: Mapping[str, Shape]) -> int:
        """Return one operation for each input after the first, and one for each factor."""
        return math.prod(outputs[0]) * (len(inputs) - 1 + len(self.coeff) + (self.operation == "mean"))

    def reference_workspace(
        self, inputs: Sequence[Shape], outputs: Sequence[Shape], weights: Mapping[str, Shape]
    ) -> int:
        """Return the bytes of the result and of one product in float64."""
        return 16 * math.prod(outputs[0])

    def reference(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        """Combine one input after the other in float64; shapes and dtypes as in `Layer.reference`."""
        combine = COMBINE[self.operation]
        factors = self.coeff or (1.0,) * len(inputs)
        result = np.empty(broadcast_shape([x.shape for x in inputs]))
        with np.errstate(all="ignore"):
            np.multiply(inputs[0], factors[0], out=result, dtype=np.float64)
            for x, factor in zip(inputs[1:], factors[1:], strict=True):
                operand = x if factor == 1 else np.multiply(x, factor, dtype=np.float64)
                combine(result, operand, out=result, dtype=np.float64)
                del operand  # before the next one is made
            if self.operation == "mean":
                result /= len(inputs)
            return (result.astype(inputs[0].dtype, copy=False),)

    def parts_at(
        self, inputs: Sequence[Array], weights: Mapping[str, Array], places: Sequence[Place], output: int = 0
    ) -> Sequence[Part]:
        """Return the values at these places."""
        return [gathered(self, inputs, weights, places)]
