"""InstanceNorm: every channel of every image is brought to mean 0 and variance 1."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import attrs

from cnnrt.keys import number
from cnnrt.layer import Array, Layer, Shape, WeightSpec
from cnnrt_layers.standardised import expect_channels, scaled_and_shifted, standardised


@attrs.frozen(kw_only=True)
class InstanceNorm(Layer):
    """Normalises each channel of each image by its own mean and variance, then scales and shifts it.

    Input and output (N, C, ...), of any rank from 3 on (Ulyanov et al., "Instance Normalization", 2016). The variance
    is the mean of the squared differences.
    """

    type = "InstanceNorm"
    weights = (
        WeightSpec("scale", "(C)", "factor of each normalised channel; absent, all are 1", optional=True),
        WeightSpec("bias", "(C)", "added to each scaled channel; absent, all are 0", optional=True),
    )
    formula = "y[n, c, ...] = scale[c] * (x - mean[n, c]) / sqrt(variance[n, c] + epsilon) + bias[c]"
    example = """
        layer {
          type: "InstanceNorm"
          name: "norm1"
          parameters_file: "norm1.msg"
        }
    """

    epsilon: float = number(1e-5, minimum=0, doc="added to the variance, so that the divisor is not 0")

    def output_shapes(self, inputs: Sequence[Shape], weights: Mapping[str, Shape]) -> tuple[Shape, ...]:
        """Return the shape of the input."""
        expect_channels(inputs[0], weights)
        return (inputs[0],)

    def flops(self, inputs: Sequence[Shape], outputs: Sequence[Shape], weights: Mapping[str, Shape]) -> int:
        """Return 7 for each value: sum, difference, square, sum, quotient, factor, offset."""
        return 7 * math.prod(inputs[0])

    def reference(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        """Compute it in float64; shapes and dtypes as in `Layer.reference`."""
        (x,) = inputs
        normal = standardised(x, tuple(range(2, x.ndim)), self.epsilon)
        return (scaled_and_shifted(normal, weights, (-1, *[1] * (x.ndim - 2))).astype(x.dtype, copy=False),)
