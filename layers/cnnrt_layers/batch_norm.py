"""BatchNorm: every channel is shifted and scaled by what training learned of its distribution."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import attrs
import numpy as np

from cnnrt.errors import ShapeError
from cnnrt.keys import number
from cnnrt.layer import Array, Layer, Part, Place, Shape, WeightSpec, shape_text
from cnnrt_layers.gathered import gathered_channels
from cnnrt_layers.parameters import expect_stored


@attrs.frozen(kw_only=True)
class BatchNorm(Layer):
    """Normalises each channel by the mean and variance that training measured, then scales and shifts it.

    Input and output (N, C, ...), of any rank from 2 on. This is batch normalisation (Ioffe and Szegedy, ICML 2015,
    algorithm 2) as inference computes it: the statistics are constants, so each channel is multiplied by one number and
    another one is added. A pass multiplies both into the weights of the Convolution or FullyConnected before it.

    Caffe splits the work: its BatchNorm has no scale and shift, a Scale layer behind it has them. Its files store the
    sums of means and variances with their number; here they are divided already.
    """

    type = "BatchNorm"
    weights = (
        WeightSpec("mean", "(C)", "mean of each channel"),
        WeightSpec("variance", "(C)", "variance of each channel", least=0.0),
        WeightSpec("scale", "(C)", "factor of each normalised channel; absent, all are 1", optional=True),
        WeightSpec("shift", "(C)", "added to each scaled channel; absent, all are 0", optional=True),
    )
    folds = ("ReLU", "Clip")
    affine_weights = ("scale", "shift")
    formula = "y[n, c, ...] = scale[c] * (x[n, c, ...] - mean[c]) / sqrt(variance[c] + epsilon) + shift[c]"
    example = """
        layer {
          type: "BatchNorm"
          name: "bn1"
          parameters_file: "bn1.msg"
          epsilon: 0.00001
        }
    """
    suite = "cnnrt_layers.conformance.suites:BatchNormSuite"

    epsilon: float = number(1e-5, minimum=0, doc="added to the variance, so that the divisor is not 0")

    def output_shapes(self, inputs: Sequence[Shape], weights: Mapping[str, Shape]) -> tuple[Shape, ...]:
        """Return the shape of the input."""
        (shape,) = inputs
        if len(shape) < 2:
            raise ShapeError(f"expected input of shape (images, channels, ...), got {shape_text(shape)}")
        for name in ("mean", "variance"):
            expect_stored(name, weights)
        for name, stored in weights.items():
            if stored != shape[1:2]:
                raise ShapeError(
                    f"the input has {shape[1]} channels: expected as many values of {name}, got {shape_text(stored)}"
                )
        return (shape,)

    def itemwise(self, inputs: Sequence[Shape]) -> bool:
        """Return True for more than one dimension: every item by itself."""
        return len(inputs[0]) > 1

    def flops(self, inputs: Sequence[Shape], outputs: Sequence[Shape], weights: Mapping[str, Shape]) -> int:
        """Return 2 for each value: a factor and an offset."""
        return 2 * math.prod(inputs[0])

    def is_affine(self, inputs: Sequence[Shape], weights: Mapping[str, Shape]) -> bool:
        """Tell that it is."""
        return True

    def takes_affine(self, output: Shape) -> bool:
        """Tell that its own factors and offsets take others."""
        return True

    def affine_terms(self, weights: Mapping[str, Array]) -> tuple[Array, Array]:
        """Return factor and offset of each channel, (C) in float64: y = factor * x + offset."""
        wide = {name: w.astype(np.float64) for name, w in weights.items()}
        # A variance that is no variance gives what the formula gives: infinity or NaN.
        with np.errstate(all="ignore"):
            factor = wide.get("scale", 1.0) / np.sqrt(wide["variance"] + self.epsilon)
            return factor, wide.get("shift", 0.0) - factor * wide["mean"]

    def reference_workspace(
        self, inputs: Sequence[Shape], outputs: Sequence[Shape], weights: Mapping[str, Shape]
    ) -> int:
        """Return the bytes of one image, and of the channels' terms, in float64."""
        return 8 * (math.prod(inputs[0][1:]) + 8 * inputs[0][1])

    def reference(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        """Normalise one image after the other; shapes and dtypes as in `Layer.reference`."""
        (images,) = inputs
        by_channel = (-1, *[1] * (images.ndim - 2))
        terms = {name: w.astype(np.float64).reshape(by_channel) for name, w in weights.items()}
        result = np.empty(images.shape, images.dtype)
        normal = np.empty(images.shape[1:])
        with np.errstate(all="ignore"):
            divisor = np.sqrt(terms["variance"] + self.epsilon)
            for image, target in zip(images, result, strict=True):
                np.subtract(image, terms["mean"], out=normal)
                normal /= divisor
                if "scale" in terms:
                    normal *= terms["scale"]
                if "shift" in terms:
                    normal += terms["shift"]
                target[...] = normal
        return (result,)

    def parts_at(
        self, inputs: Sequence[Array], weights: Mapping[str, Array], places: Sequence[Place], output: int = 0
    ) -> Sequence[Part]:
        """Return the values at these places."""
        return [gathered_channels(self, inputs, weights, places)]
