"""Normalize: vectors are brought to length 1."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import attrs
import numpy as np

from cnnrt.errors import ShapeError
from cnnrt.keys import boolean, integer, number
from cnnrt.layer import Array, Layer, Shape, WeightSpec, shape_text
from cnnrt_layers.axes import resolve_axis


@attrs.frozen(kw_only=True)
class Normalize(Layer):
    """Divides each vector along an axis by its p-norm, then scales it (ParseNet, Liu et al., 2015; SSD's conv4_3_norm).

    Input and output of any shape with that axis. With the usual axis 1 the vectors are the channels of each pixel; with
    `across_spatial`, all values from `axis` on are one vector. A vector of zeros stays one. The factors are one for
    each place along the axis, or one for all (Caffe's channel_shared).
    """

    type = "Normalize"
    weights = (WeightSpec("scale", "(C)", "factor of each channel, or (1) of all; absent, all are 1", optional=True),)
    formula = "y[n, c, ...] = scale[c] * x[n, c, ...] / (sum over d of |x[n, d, ...]| ** p + eps) ** (1 / p)"
    example = """
        layer {
          type: "Normalize"
          name: "conv4_3_norm"
          parameters_file: "conv4_3_norm.msg"
        }
    """
    suite = "cnnrt_layers.conformance.suites:NormalizeSuite"

    axis: int = integer(1, doc="axis that vectors lie along; negative counts from the end")
    across_spatial: bool = boolean(False, doc="take all values from axis on as one vector")
    p: float = number(2.0, minimum=1, doc="which norm: 1 sums absolute values, 2 is the Euclidean length")
    eps: float = number(1e-10, minimum=0, doc="added to the sum of powers, so that the divisor is not 0")

    def output_shapes(self, inputs: Sequence[Shape], weights: Mapping[str, Shape]) -> tuple[Shape, ...]:
        """Return the shape of the input."""
        (shape,) = inputs
        axis = resolve_axis(self.axis, shape)
        if weights.get("scale", (1,)) not in ((1,), (shape[axis],)):
            raise ShapeError(
                f"axis {self.axis} of the input {shape_text(shape)} has {shape[axis]} places: expected as many "
                f"factors, or one for all, got {shape_text(weights['scale'])}"
            )
        return (shape,)

    def flops(self, inputs: Sequence[Shape], outputs: Sequence[Shape], weights: Mapping[str, Shape]) -> int:
        """Return 4 for each value: power, sum, quotient, factor."""
        return 4 * math.prod(inputs[0])

    def reference_workspace(
        self, inputs: Sequence[Shape], outputs: Sequence[Shape], weights: Mapping[str, Shape]
    ) -> int:
        """Return the bytes of values, powers and norms in float64; vectors may be of one value."""
        return 40 * math.prod(inputs[0])

    def reference(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        """Compute it in float64; shapes and dtypes as in `Layer.reference`."""
        (x,) = inputs
        axis = resolve_axis(self.axis, x.shape)
        along = tuple(range(axis, x.ndim)) if self.across_spatial else axis
        with np.errstate(all="ignore"):
            result = x.astype(np.float64)
            powers = np.abs(result)
            powers **= self.p
            norm = (powers.sum(axis=along, keepdims=True) + self.eps) ** (1 / self.p)
            result /= np.where(norm == 0, 1, norm)
            if "scale" in weights:
                result *= weights["scale"].reshape(-1, *[1] * (x.ndim - axis - 1))
        return (result.astype(x.dtype, copy=False),)
