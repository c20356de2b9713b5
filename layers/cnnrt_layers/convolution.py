"""Convolution: every output value is a weighted sum over a window of the input."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import attrs
import numpy as np

from cnnrt.errors import ShapeError
from cnnrt.keys import integer, padding, pair
from cnnrt.layer import Array, Layer, Part, Place, Shape, WeightSpec, expect_rank, shape_text
from cnnrt_layers.parameters import expect_bias, expect_stored
from cnnrt_layers.sum_bound import sum_bound
from cnnrt_layers.windows import Windows, convolution_windows


@attrs.frozen(kw_only=True)
class Convolution(Layer):
    """Slides a bank of kernels over an image: each output value is a weighted sum over a window, plus a bias.

    Input (N, C, H, W), output (N, O, OH, OW); the number of outputs O and the size of the kernel are those of the
    weights. With `group` G, inputs and outputs are split into G equal parts in order, and each part of the outputs
    sees only its part of the inputs; G = C is a depthwise convolution. As in every framework of the field the
    kernel is not mirrored: strictly speaking this is a correlation.

    The output size rounds down, as in Caffe. CNNdroid's code rounded it up: where the last window does not end exactly
    at the edge, it gave one row or column more. CNNdroid also demanded a bias, and padded correctly for one or two
    groups only; here the bias may be absent and every group is padded alike.
    """

    type = "Convolution"
    weights = (
        WeightSpec("weight", "(O, C / group, KH, KW)", "kernels: outputs, inputs of the group, rows, columns"),
        WeightSpec("bias", "(O)", "added to every value of its output channel", optional=True),
    )
    folds = ("ReLU", "Clip", "Eltwise")
    formula = """
        y[n, o, i, j] = bias[o] + sum over c, r, s of weight[o, c, r, s] * x[n, first(o) + c, a, b]
        a = i * stride - top + r * dilation,  b = j * stride - left + s * dilation,  x is 0 outside of the image
        first(o) = floor(o / (O / group)) * C / group
        OH = floor((H + top + bottom - (dilation * (KH - 1) + 1)) / stride) + 1,  OW likewise
    """
    example = """
        layer {
          type: "Convolution"
          name: "conv2"
          parameters_file: "conv2.msg"
          pad: 2
          group: 2
        }
    """
    suite = "cnnrt_layers.conformance.suites:ConvolutionSuite"

    pad: tuple[int, int, int, int] = padding(doc="zeros put around the image: n, [vertical, horizontal] or all four")
    stride: tuple[int, int] = pair(1, doc="distance from one window to the next")
    dilation: tuple[int, int] = pair(1, doc="distance between neighbouring values of the kernel")
    group: int = integer(1, minimum=1, doc="number of parts that inputs and outputs are split into")

    def windows(self, input_shape: Shape, weight_shape: Shape) -> tuple[Windows, Windows]:
        """Return the windows along rows and along columns; ShapeError where the kernel does not fit."""
        top, left, bottom, right = self.pad
        (_, _, height, width), (_, _, kernel_rows, kernel_columns) = input_shape, weight_shape
        return (
            convolution_windows(height, kernel_rows, self.stride[0], self.dilation[0], top, bottom, "rows"),
            convolution_windows(width, kernel_columns, self.stride[1], self.dilation[1], left, right, "columns"),
        )

    def output_shapes(self, inputs: Sequence[Shape], weights: Mapping[str, Shape]) -> tuple[Shape, ...]:
        """Return (N, O, OH, OW)."""
        expect_rank(inputs[0], 4)
        weight = expect_stored("weight", weights)
        if len(weight) != 4 or 0 in weight:
            raise ShapeError(
                "expected weights of shape (outputs, inputs of the group, kernel rows, kernel columns), each at "
                f"least 1, got {shape_text(weight)}"
            )
        images, channels = inputs[0][:2]
        outputs, taken = weight[:2]
        if outputs % self.group:
            raise ShapeError(
                f"group {self.group} does not divide the {outputs} outputs of the weights {shape_text(weight)}"
            )
        if channels != self.group * taken:
            fits = channels // taken if channels and channels % taken == 0 and outputs % (channels // taken) == 0 else 0
            raise ShapeError(
                f"the input has {channels} channels; weights {shape_text(weight)} with group {self.group} take "
                f"{self.group} × {taken} = {self.group * taken}" + (f"; group {fits} would fit" if fits else "")
            )
        expect_bias(weights, outputs)
        rows, columns = self.windows(inputs[0], weight)
        return ((images, outputs, rows.count, columns.count),)

    def itemwise(self, inputs: Sequence[Shape]) -> bool:
        """Return True: every image by itself."""
        return True

    def takes_affine(self, output: Shape) -> bool:
        """Tell that they may: each output channel has its own kernels and bias."""
        return True

    def flops(self, inputs: Sequence[Shape], outputs: Sequence[Shape], weights: Mapping[str, Shape]) -> int:
        """Return 2 for each weight that an output value uses; the bias is not counted."""
        return 2 * math.prod(outputs[0]) * math.prod(weights["weight"][1:])

    def reference_workspace(
        self, inputs: Sequence[Shape], outputs: Sequence[Shape], weights: Mapping[str, Shape]
    ) -> int:
        """Return the bytes of the weights and, for one image, the sums, one product and its operand, all in float64."""
        _, filters, height, width = outputs[0]
        return 8 * (math.prod(weights["weight"]) + (2 * filters + inputs[0][1]) * height * width)

    def reference(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        """Add up the products of one kernel position after the other; shapes and dtypes as in `Layer.reference`."""
        (images,) = inputs
        filters, taken, kernel_rows, kernel_columns = weights["weight"].shape
        rows, columns = self.windows(images.shape, weights["weight"].shape)
        # Kernel positions first, so that each is one matrix for each group.
        by_position = np.ascontiguousarray(weights["weight"].transpose(2, 3, 0, 1), dtype=np.float64)
        matrices = by_position.reshape(kernel_rows, kernel_columns, self.group, filters // self.group, taken)
        result = np.empty((len(images), filters, rows.count, columns.count), images.dtype)
        sums = np.empty((self.group, filters // self.group, rows.count, columns.count))
        for image, target in zip(images, result, strict=True):
            sums[...] = weights["bias"].reshape(self.group, -1, 1, 1) if "bias" in weights else 0
            for r, s in np.ndindex(kernel_rows, kernel_columns):
                (windows_r, values_r), (windows_s, values_s) = rows.overlap(r), columns.overlap(s)
                meeting = sums[:, :, windows_r, windows_s]
                meeting += _product(matrices[r, s], image[:, values_r, values_s]).reshape(meeting.shape)
            target[...] = sums.reshape(target.shape)
        return (result,)

    def parts_at(
        self, inputs: Sequence[Array], weights: Mapping[str, Array], places: Sequence[Place], output: int = 0
    ) -> Sequence[Part]:
        """Return, for each value, its window and its kernel alone."""
        (images,) = inputs
        filters, taken = weights["weight"].shape[:2]
        along = self.windows(images.shape, weights["weight"].shape)
        parts = []
        for place in places:
            image, channel, i, j = place
            (rows, top, bottom), (columns, left, right) = along[0].cut(i), along[1].cut(j)
            first = channel // (filters // self.group) * taken
            seen = images[image : image + 1, first : first + taken, rows, columns]
            own = {name: w[channel : channel + 1] for name, w in weights.items()}
            layer = attrs.evolve(self, pad=(top, left, bottom, right), group=1)
            parts.append(Part(layer, (seen,), own, ((place, (0, 0, 0, 0)),)))
        return parts

    def error_bound(
        self, inputs: Sequence[Array], weights: Mapping[str, Array], exact: Sequence[Array]
    ) -> tuple[Array, ...]:
        """Return the bound of a sum with one product for each weight of an output, and the bias."""
        (squares,) = self.reference([x**2 for x in inputs], {name: w**2 for name, w in weights.items()})
        return (sum_bound(math.prod(weights["weight"].shape[1:]) + 1, exact[0], squares),)


def _product(matrices: Array, seen: Array) -> Array:
    """Multiply the matrix of each group by the channels that it sees, in float64."""
    groups, _, channels = matrices.shape
    product: Array = matrices @ seen.astype(np.float64).reshape(groups, channels, -1)
    return product
