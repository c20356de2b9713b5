"""FullyConnected: every output value is a weighted sum of all features."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import attrs
import numpy as np

from cnnrt.errors import ShapeError
from cnnrt.keys import integer
from cnnrt.layer import Array, Layer, Part, Place, Shape, WeightSpec, shape_text
from cnnrt_layers.axes import resolve_axis
from cnnrt_layers.parameters import expect_bias, expect_stored
from cnnrt_layers.sum_bound import sum_bound

BLOCK_VALUES = 2**20
"""Weights that the reference holds in float64 at a time, at least one row: 8 MiB instead of all of AlexNet's 300."""


@attrs.frozen(kw_only=True)
class FullyConnected(Layer):
    """Multiplies the features of each image by a matrix and adds a bias (Caffe's InnerProduct).

    Dimensions from `axis` on are flattened in order (channels, rows, columns) to K features; those before it stay. With
    the usual axis 1 an input (N, C, H, W) gives (N, O), where K = C × H × W and O is the number of rows of the weights.

    CNNdroid stored the weights as one flat list, row after row; how it is divided follows from the bias and
    from the size of the input, which must agree. CNNdroid demanded a bias; here it may be absent.
    """

    type = "FullyConnected"
    weights = (
        WeightSpec("weight", "(O, K) or (O × K)", "one row of K weights for each output, also as one flat list"),
        WeightSpec("bias", "(O)", "added to each output", optional=True),
    )
    folds = ("ReLU", "Clip")
    formula = "y[n, o] = bias[o] + sum over k of weight[o, k] * x[n, k]"
    example = """
        layer {
          type: "FullyConnected"
          name: "fc6"
          parameters_file: "fc6.msg"
        }
    """
    suite = "cnnrt_layers.conformance.suites:FullyConnectedSuite"

    axis: int = integer(1, doc="first of the dimensions that are flattened; negative counts from the end")

    def features(self, input_shape: Shape) -> tuple[Shape, int]:
        """Return the dimensions that stay and the number of features K that the others hold together."""
        axis = resolve_axis(self.axis, input_shape)
        return input_shape[:axis], math.prod(input_shape[axis:])

    def weight_shapes(self, stored: Mapping[str, Shape], inputs: Sequence[Shape]) -> Mapping[str, Shape]:
        """Return the weight as (O, K) where it is stored as one flat list of O × K."""
        weight = expect_stored("weight", stored)
        if len(weight) != 1:
            return stored
        (values,) = weight
        features = self.features(inputs[0])[1]
        biases = stored["bias"][0] if len(stored.get("bias", ())) == 1 else None
        outputs = values // max(features, 1) if biases is None else biases
        if outputs * features != values:
            held = f"{values} weights" + ("" if biases is None else f" and {biases} biases")
            needed = f"a multiple of {features}" if biases is None else f"{outputs} × {features} = {outputs * features}"
            raise ShapeError(
                f"the parameter file holds {held}; an input of shape {shape_text(inputs[0])} has {features} features "
                f"and needs {needed} weights; check the size of the network's input"
            )
        return {**stored, "weight": (outputs, features)}

    def itemwise(self, inputs: Sequence[Shape]) -> bool:
        """Return True unless the items are features of one."""
        kept, _ = self.features(inputs[0])
        return len(kept) > 0

    def output_shapes(self, inputs: Sequence[Shape], weights: Mapping[str, Shape]) -> tuple[Shape, ...]:
        """Return the dimensions that stay, and O."""
        kept, features = self.features(inputs[0])
        weight = expect_stored("weight", weights)
        if len(weight) != 2 or 0 in weight:
            raise ShapeError(
                f"expected weights of shape (outputs, features), each at least 1, got {shape_text(weight)}"
            )
        outputs, taken = weight
        if taken != features:
            raise ShapeError(
                f"the weights {shape_text(weight)} take {taken} features, an input of shape {shape_text(inputs[0])} "
                f"has {features}; check the size of the network's input"
            )
        expect_bias(weights, outputs)
        return ((*kept, outputs),)

    def takes_affine(self, output: Shape) -> bool:
        """Tell that they may where the outputs are axis 1, the channels."""
        return len(output) == 2

    def flops(self, inputs: Sequence[Shape], outputs: Sequence[Shape], weights: Mapping[str, Shape]) -> int:
        """Return 2 for each weight and image; the bias is not counted."""
        return 2 * math.prod(outputs[0]) * weights["weight"][1]

    def reference_workspace(
        self, inputs: Sequence[Shape], outputs: Sequence[Shape], weights: Mapping[str, Shape]
    ) -> int:
        """Return the bytes of the inputs, and of a block of weights with its products, in float64."""
        rows = _rows_at_once(*weights["weight"])
        return 8 * (math.prod(inputs[0]) + rows * weights["weight"][1] + rows * math.prod(outputs[0][:-1]))

    def reference(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        """Multiply by a block of rows of the weights after the other; shapes and dtypes as in `Layer.reference`."""
        kept, features = self.features(inputs[0].shape)
        weight = weights["weight"]
        flat = inputs[0].reshape(math.prod(kept), features).astype(np.float64)
        result = np.empty((len(flat), len(weight)), inputs[0].dtype)
        step = _rows_at_once(*weight.shape)
        for first in range(0, len(weight), step):
            rows = slice(first, first + step)
            products = flat @ weight[rows].astype(np.float64).T
            if "bias" in weights:
                products += weights["bias"][rows]
            result[:, rows] = products
        return (result.reshape(*kept, len(weight)),)

    def parts_at(
        self, inputs: Sequence[Array], weights: Mapping[str, Array], places: Sequence[Place], output: int = 0
    ) -> Sequence[Part]:
        """Return, for each value, its image and its row of the weights."""
        (x,) = inputs
        parts = []
        for place in places:
            seen = x[tuple(slice(i, i + 1) for i in place[:-1])]
            own = {name: w[place[-1] : place[-1] + 1] for name, w in weights.items()}
            parts.append(Part(self, (seen,), own, ((place, (0,) * len(place)),)))
        return parts

    def error_bound(
        self, inputs: Sequence[Array], weights: Mapping[str, Array], exact: Sequence[Array]
    ) -> tuple[Array, ...]:
        """Return the bound of a sum with one product for each weight of an output, and the bias."""
        (squares,) = self.reference([x**2 for x in inputs], {name: w**2 for name, w in weights.items()})
        return (sum_bound(weights["weight"].shape[1] + 1, exact[0], squares),)


def _rows_at_once(outputs: int, features: int) -> int:
    return max(1, min(outputs, BLOCK_VALUES // max(features, 1)))
