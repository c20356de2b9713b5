"""GroupNorm: groups of channels of every image are brought to mean 0 and variance 1."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import attrs

from cnnrt.errors import ShapeError
from cnnrt.keys import integer, number
from cnnrt.layer import Array, Layer, Shape, WeightSpec
from cnnrt_layers.standardised import expect_channels, scaled_and_shifted, standardised


@attrs.frozen(kw_only=True)
class GroupNorm(Layer):
    """Normalises groups of channels of each image by their mean and variance, then scales and shifts each channel.

    Input and output (N, C, ...), of any rank from 2 on (Wu and He, "Group Normalization", ECCV 2018). Groups are equal
    parts of the channels, in order; with one group, all of an item is normalised together.
    """

    type = "GroupNorm"
    weights = (
        WeightSpec("scale", "(C)", "factor of each normalised channel; absent, all are 1", optional=True),
        WeightSpec("bias", "(C)", "added to each scaled channel; absent, all are 0", optional=True),
    )
    formula = "y[n, c, ...] = scale[c] * (x - mean[n, g(c)]) / sqrt(variance[n, g(c)] + epsilon) + bias[c]"
    example = """
        layer {
          type: "GroupNorm"
          name: "norm1"
          parameters_file: "norm1.msg"
          group: 32
        }
    """

    group: int = integer(32, minimum=1, doc="number of groups that the channels are split into")
    epsilon: float = number(1e-5, minimum=0, doc="added to the variance, so that the divisor is not 0")

    def output_shapes(self, inputs: Sequence[Shape], weights: Mapping[str, Shape]) -> tuple[Shape, ...]:
        """Return the shape of the input."""
        expect_channels(inputs[0], weights, rank=2)
        channels = inputs[0][1]
        if not channels or channels % self.group:
            raise ShapeError(f"group {self.group} does not divide the {channels} channels of the input")
        return (inputs[0],)

    def flops(self, inputs: Sequence[Shape], outputs: Sequence[Shape], weights: Mapping[str, Shape]) -> int:
        """Return 7 for each value: sum, difference, square, sum, quotient, factor, offset."""
        return 7 * math.prod(inputs[0])

    def reference(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        """Compute it in float64; shapes and dtypes as in `Layer.reference`."""
        (x,) = inputs
        grouped = x.reshape(len(x), self.group, math.prod(x.shape[1:]) // self.group)
        normal = standardised(grouped, (2,), self.epsilon).reshape(x.shape)
        return (scaled_and_shifted(normal, weights, (-1, *[1] * (x.ndim - 2))).astype(x.dtype, copy=False),)
