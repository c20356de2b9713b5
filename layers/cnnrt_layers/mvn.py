"""MVN: mean-variance normalisation, Caffe's."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import attrs
import numpy as np

from cnnrt.keys import boolean, number
from cnnrt.layer import Array, Layer, Shape
from cnnrt_layers.standardised import expect_channels


@attrs.frozen(kw_only=True)
class MVN(Layer):
    """Subtracts the mean of each channel of each image, and divides by the standard deviation.

    Input and output (N, C, ...), of any rank from 3 on. As in Caffe, `eps` is added to the deviation itself, not to the
    variance; InstanceNorm does the latter.
    """

    type = "MVN"
    formula = "y[n, c, ...] = (x - mean[n, c]) / (deviation[n, c] + eps)"
    example = """
        layer {
          type: "MVN"
          name: "mvn1"
          normalize_variance: false
        }
    """

    normalize_variance: bool = boolean(True, doc="whether to divide by the standard deviation")
    across_channels: bool = boolean(False, doc="take all channels of an image together")
    eps: float = number(1e-9, minimum=0, doc="added to the standard deviation, so that the divisor is not 0")

    def output_shapes(self, inputs: Sequence[Shape], weights: Mapping[str, Shape]) -> tuple[Shape, ...]:
        """Return the shape of the input."""
        expect_channels(inputs[0], {})
        return (inputs[0],)

    def flops(self, inputs: Sequence[Shape], outputs: Sequence[Shape], weights: Mapping[str, Shape]) -> int:
        """Return 5 for each value: sum, difference, square, sum, quotient."""
        return (5 if self.normalize_variance else 2) * math.prod(inputs[0])

    def reference(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        """Compute it in float64; shapes and dtypes as in `Layer.reference`."""
        (x,) = inputs
        axes = tuple(range(1 if self.across_channels else 2, x.ndim))
        with np.errstate(all="ignore"):
            result = x.astype(np.float64)
            if x.size:
                result -= result.mean(axis=axes, keepdims=True)
            if x.size and self.normalize_variance:
                result /= np.sqrt(np.square(result).mean(axis=axes, keepdims=True)) + self.eps
        return (result.astype(x.dtype, copy=False),)
