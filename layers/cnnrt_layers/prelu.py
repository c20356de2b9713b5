"""PReLU: negative values are multiplied by slopes that training found."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import attrs
import numpy as np

from cnnrt.errors import ShapeError
from cnnrt.layer import Array, Layer, Part, Place, Shape, WeightSpec, shape_text
from cnnrt_layers.gathered import gathered_channels
from cnnrt_layers.parameters import expect_stored


@attrs.frozen(kw_only=True)
class PReLU(Layer):
    """Keeps positive values and multiplies negative ones by the slope of their channel (He et al., ICCV 2015).

    Input and output (N, C, ...), of any rank from 2 on. One slope may serve all channels (Caffe's channel_shared).
    """

    type = "PReLU"
    weights = (WeightSpec("slope", "(C)", "factor of the negative values of each channel; (1): of all channels"),)
    formula = "y[n, c, ...] = x if x > 0 else slope[c] * x"
    example = """
        layer {
          type: "PReLU"
          name: "prelu1"
          parameters_file: "prelu1.msg"
        }
    """

    def output_shapes(self, inputs: Sequence[Shape], weights: Mapping[str, Shape]) -> tuple[Shape, ...]:
        """Return the shape of the input."""
        (shape,) = inputs
        if len(shape) < 2:
            raise ShapeError(f"expected input of shape (images, channels, ...), got {shape_text(shape)}")
        slopes = expect_stored("slope", weights)
        if slopes not in ((1,), shape[1:2]):
            raise ShapeError(
                f"the input has {shape[1]} channels: expected as many slopes, or one for all, got {shape_text(slopes)}"
            )
        return (shape,)

    def flops(self, inputs: Sequence[Shape], outputs: Sequence[Shape], weights: Mapping[str, Shape]) -> int:
        """Return 1 for each value."""
        return math.prod(inputs[0])

    def reference(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        """Compute it value by value; shapes and dtypes as in `Layer.reference`."""
        (x,) = inputs
        slopes = weights["slope"].astype(np.float64).reshape(-1, *[1] * (x.ndim - 2))
        with np.errstate(all="ignore"):
            below = x * slopes
        return (np.where(x > 0, x, below).astype(x.dtype, copy=False),)

    def parts_at(
        self, inputs: Sequence[Array], weights: Mapping[str, Array], places: Sequence[Place], output: int = 0
    ) -> Sequence[Part]:
        """Return the values at these places."""
        return [gathered_channels(self, inputs, weights, places)]
