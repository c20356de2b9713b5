"""Scale: values are multiplied by factors and shifted, channel by channel or in another pattern."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import attrs
import numpy as np

from cnnrt.errors import ShapeError
from cnnrt.keys import integer
from cnnrt.layer import Array, Layer, Part, Place, Shape, WeightSpec, shape_text
from cnnrt_layers.axes import resolve_axis
from cnnrt_layers.gathered import gathered_channels


@attrs.frozen(kw_only=True)
class Scale(Layer):
    """Multiplies by factors that lie along some of the input's axes, and adds offsets that lie along the same ones.

    Input and output (N, C, ...), of any rank. The factors' first axis is the input's axis `axis`, and so on: with the
    usual axis 1, factors (C) belong to the channels, (C, H, W) to the places of one item, and a single one of shape ()
    or (1) to everything. Where there are offsets but no factors, this is Caffe's Bias. With a second input, that one is
    the factors, as in Caffe, and only offsets are weights: (N, C) on axis 0 weighs the channels of each image.
    """

    type = "Scale"
    inputs = (1, 2)
    weights = (
        WeightSpec("scale", "(C)", "factors; absent, all are 1", optional=True),
        WeightSpec("bias", "(C)", "added to the products; absent, all are 0", optional=True),
    )
    formula = "y[n, c, ...] = scale[c] * x[n, c, ...] + bias[c]"
    example = """
        layer {
          type: "Scale"
          name: "scale1"
          parameters_file: "scale1.msg"
        }
    """
    folds = ("ReLU", "Clip")
    affine_weights = ("scale", "bias")
    suite = "cnnrt_layers.conformance.suites:ScaleSuite"

    axis: int = integer(1, doc="the input's axis that the first axis of the factors belongs to; negative: from the end")

    def output_shapes(self, inputs: Sequence[Shape], weights: Mapping[str, Shape]) -> tuple[Shape, ...]:
        """Return the shape of the first input."""
        terms = dict(weights)
        if len(inputs) == 2:
            if "scale" in terms:
                raise ShapeError("the second input is the factors: the parameter file must not hold 'scale' as well")
            terms["second input"] = inputs[1]
        if not terms:
            raise ShapeError("expected 'scale' or 'bias' in the parameter file, or a second input")
        for name, shape in terms.items():
            self._pattern(name, shape, inputs[0])
        return (inputs[0],)

    def _pattern(self, name: str, shape: Shape, whole: Shape) -> Shape:
        """Return a weight's shape with an axis of length 1 for each of the input's axes that it is the same along."""
        if math.prod(shape) == 1:
            return (1,) * len(whole)
        axis = resolve_axis(self.axis, whole)
        if shape != whole[axis : axis + len(shape)]:
            raise ShapeError(
                f"expected {name} of the shape of the input {shape_text(whole)} from axis {self.axis} on, "
                f"got {shape_text(shape)}"
            )
        return (*(1,) * axis, *shape, *(1,) * (len(whole) - axis - len(shape)))

    def is_affine(self, inputs: Sequence[Shape], weights: Mapping[str, Shape]) -> bool:
        """Tell whether there is one input, and one factor or offset for each of its channels."""
        shape = inputs[0]
        if len(inputs) > 1 or len(shape) < 2 or set(weights.values()) != {shape[1:2]}:
            return False
        return shape[1] == 1 or resolve_axis(self.axis, shape) == 1

    def affine_terms(self, weights: Mapping[str, Array]) -> tuple[Array, Array]:
        """Return factor and offset of each channel, (C) in float64."""
        channels = next(iter(weights.values())).shape
        factor = weights.get("scale", np.ones(channels)).astype(np.float64)
        return factor, weights.get("bias", np.zeros(channels)).astype(np.float64)

    def itemwise(self, inputs: Sequence[Shape]) -> bool:
        """Return True unless factors are handed in or belong to items."""
        return len(inputs) == 1 and self.axis % len(inputs[0]) != 0

    def flops(self, inputs: Sequence[Shape], outputs: Sequence[Shape], weights: Mapping[str, Shape]) -> int:
        """Return 2 for each value: a factor and an offset."""
        return 2 * math.prod(inputs[0])

    def reference(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        """Compute it value by value; shapes and dtypes as in `Layer.reference`."""
        x = inputs[0]
        factors = inputs[1] if len(inputs) == 2 else weights.get("scale")
        result = x.astype(np.float64)
        with np.errstate(all="ignore"):
            if factors is not None:
                result *= factors.reshape(self._pattern("scale", factors.shape, x.shape))
            if "bias" in weights:
                result += weights["bias"].reshape(self._pattern("bias", weights["bias"].shape, x.shape))
        return (result.astype(x.dtype, copy=False),)

    def parts_at(
        self, inputs: Sequence[Array], weights: Mapping[str, Array], places: Sequence[Place], output: int = 0
    ) -> Sequence[Part]:
        """Return the values at these places, where factors belong to channels."""
        shapes = {name: w.shape for name, w in weights.items()}
        if not self.is_affine([x.shape for x in inputs], shapes):
            return super().parts_at(inputs, weights, places, output)
        by_channel = attrs.evolve(self, axis=1)
        return [gathered_channels(by_channel, inputs, weights, places)]
