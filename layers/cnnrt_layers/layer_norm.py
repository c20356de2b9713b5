"""LayerNorm: the last axes of the input are brought to mean 0 and variance 1."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import attrs

from cnnrt.errors import ShapeError
from cnnrt.keys import integer, number
from cnnrt.layer import Array, Layer, Shape, WeightSpec, shape_text
from cnnrt_layers.axes import resolve_axis
from cnnrt_layers.standardised import expect_values, scaled_and_shifted, standardised


@attrs.frozen(kw_only=True)
class LayerNorm(Layer):
    """Normalises over all axes from `axis` on, then scales and shifts each place along them.

    Input and output of any shape with that axis (Ba et al., "Layer Normalization", 2016). Scale and bias have the shape
    of the normalised axes, or one that is broadcast to it.
    """

    type = "LayerNorm"
    weights = (
        WeightSpec("scale", "(W)", "factors, for the places along the axes; absent, all are 1", optional=True),
        WeightSpec("bias", "(W)", "offsets, likewise; absent, all are 0", optional=True),
    )
    formula = "y = scale * (x - mean) / sqrt(variance + epsilon) + bias,  mean and variance over the axes from axis on"
    example = """
        layer {
          type: "LayerNorm"
          name: "norm1"
          parameters_file: "norm1.msg"
        }
    """
    suite = "cnnrt_layers.conformance.suites:LayerNormSuite"

    axis: int = integer(-1, doc="first of the axes that are normalised over; negative counts from the end")
    epsilon: float = number(1e-5, minimum=0, doc="added to the variance, so that the divisor is not 0")

    def output_shapes(self, inputs: Sequence[Shape], weights: Mapping[str, Shape]) -> tuple[Shape, ...]:
        """Return the shape of the input."""
        (shape,) = inputs
        axis = resolve_axis(self.axis, shape)
        expect_values(shape, shape[axis:])
        for name, stored in weights.items():
            if len(stored) != len(shape) - axis or any(
                own not in (1, size) for own, size in zip(stored, shape[axis:], strict=True)
            ):
                raise ShapeError(
                    f"the axes from {self.axis} on of the input {shape_text(shape)} are {shape_text(shape[axis:])}: "
                    f"expected {name} of that shape, got {shape_text(stored)}"
                )
        return (shape,)

    def flops(self, inputs: Sequence[Shape], outputs: Sequence[Shape], weights: Mapping[str, Shape]) -> int:
        """Return 7 for each value: sum, difference, square, sum, quotient, factor, offset."""
        return 7 * math.prod(inputs[0])

    def reference(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        """Compute it in float64; shapes and dtypes as in `Layer.reference`."""
        (x,) = inputs
        normal = standardised(x, tuple(range(resolve_axis(self.axis, x.shape), x.ndim)), self.epsilon)
        for name, term in weights.items():
            scaled_and_shifted(normal, {name: term}, term.shape)
        return (normal.astype(x.dtype, copy=False),)
