"""Deconvolution: every input value spreads over a window of the output."""

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
from cnnrt_layers.windows import Windows


@attrs.frozen(kw_only=True)
class Deconvolution(Layer):
    """Lays a kernel, times an input value, at every place of the output and adds them up (transposed convolution).

    Input (N, C, H, W), output (N, O, OH, OW). It is the backward pass of a Convolution with the same kernel, stride,
    dilation and padding, which here is cut off the output. As for Convolution, `group` splits inputs and outputs into
    equal parts. Of the sizes that a convolution maps to the same one, the smallest is given; `output_pad` adds rows at
    the bottom and columns at the right.
    """

    type = "Deconvolution"
    weights = (
        WeightSpec("weight", "(C, O / group, KH, KW)", "kernels: inputs, outputs of the group, rows, columns"),
        WeightSpec("bias", "(O)", "added to every value of its output channel", optional=True),
    )
    folds = ("ReLU",)
    formula = """
        y[n, o, a, b] = bias[o] + sum over c, r, s, i, j of weight[c, o - first(c), r, s] * x[n, c, i, j]
        a = i * stride - top + r * dilation,  b = j * stride - left + s * dilation
        first(c) = floor(c / (C / group)) * O / group
        OH = (H - 1) * stride + dilation * (KH - 1) + 1 - top - bottom + output_pad,  OW likewise
    """
    example = """
        layer {
          type: "Deconvolution"
          name: "upscore"
          parameters_file: "upscore.msg"
          stride: 2
          pad: 1
        }
    """
    suite = "cnnrt_layers.conformance.suites:DeconvolutionSuite"

    pad: tuple[int, int, int, int] = padding(doc="cut off the output: n, [vertical, horizontal] or all four")
    stride: tuple[int, int] = pair(1, doc="distance from one window of the output to the next")
    dilation: tuple[int, int] = pair(1, doc="distance between neighbouring values of the kernel")
    output_pad: tuple[int, int] = pair(0, doc="rows and columns that the output has more", minimum=0)
    group: int = integer(1, minimum=1, doc="number of parts that inputs and outputs are split into")

    def windows(self, input_shape: Shape, weight_shape: Shape) -> tuple[Windows, Windows]:
        """Return the windows of the output that the input's rows and columns spread over; ShapeError: nothing is left.

        Their `size` is that of the output.
        """
        (_, _, *counts), (_, _, *kernel), (top, left, bottom, right) = input_shape, weight_shape, self.pad
        return (
            self._along(0, counts[0], kernel[0], top, bottom, "rows"),
            self._along(1, counts[1], kernel[1], left, right, "columns"),
        )

    def _along(self, axis: int, count: int, kernel: int, before: int, after: int, unit: str) -> Windows:
        stride, dilation = self.stride[axis], self.dilation[axis]
        size = (count - 1) * stride + dilation * (kernel - 1) + 1 - before - after + self.output_pad[axis]
        if count < 1 or size < 1:
            raise ShapeError(
                f"{count} {unit} spread by a kernel of {kernel} leave none after {before} and {after} are cut off; "
                f"use a larger input or less padding"
            )
        return Windows(size, kernel, stride, dilation, before, after, count)

    def output_shapes(self, inputs: Sequence[Shape], weights: Mapping[str, Shape]) -> tuple[Shape, ...]:
        """Return (N, O, OH, OW)."""
        expect_rank(inputs[0], 4)
        weight = expect_stored("weight", weights)
        if len(weight) != 4 or 0 in weight:
            raise ShapeError(
                "expected weights of shape (inputs, outputs of the group, kernel rows, kernel columns), each at "
                f"least 1, got {shape_text(weight)}"
            )
        images, channels = inputs[0][:2]
        if channels != weight[0]:
            raise ShapeError(f"the input has {channels} channels; weights {shape_text(weight)} take {weight[0]}")
        if channels % self.group:
            raise ShapeError(f"group {self.group} does not divide the {channels} channels of the input")
        outputs = weight[1] * self.group
        expect_bias(weights, outputs)
        rows, columns = self.windows(inputs[0], weight)
        return ((images, outputs, rows.size, columns.size),)

    def itemwise(self, inputs: Sequence[Shape]) -> bool:
        """Return True: every image by itself."""
        return True

    def flops(self, inputs: Sequence[Shape], outputs: Sequence[Shape], weights: Mapping[str, Shape]) -> int:
        """Return 2 for each weight that an input value spreads by; the bias is not counted."""
        return 2 * math.prod(inputs[0]) * math.prod(weights["weight"][1:])

    def reference_workspace(
        self, inputs: Sequence[Shape], outputs: Sequence[Shape], weights: Mapping[str, Shape]
    ) -> int:
        """Return the bytes of the weights and, for one image, the sums, one product and the input, all in float64."""
        (_, channels, height, width), (_, filters, *_) = inputs[0], outputs[0]
        pixels = height * width
        return 8 * (math.prod(weights["weight"]) + math.prod(outputs[0][1:]) + (channels + filters) * pixels)

    def reference(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        """Add up the products of one kernel position after the other; shapes and dtypes as in `Layer.reference`."""
        (images,) = inputs
        channels, made, kernel_rows, kernel_columns = weights["weight"].shape
        rows, columns = self.windows(images.shape, weights["weight"].shape)
        # Kernel positions first, so that each is one matrix (outputs, inputs) for each group.
        grouped = weights["weight"].reshape(self.group, channels // self.group, made, kernel_rows, kernel_columns)
        matrices = np.ascontiguousarray(grouped.transpose(3, 4, 0, 2, 1), dtype=np.float64)
        result = np.empty((len(images), self.group * made, rows.size, columns.size), images.dtype)
        sums = np.empty((self.group, made, rows.size, columns.size))
        wide = np.empty((self.group, channels // self.group, rows.count * columns.count))
        products = np.empty((self.group, made, rows.count * columns.count))
        product = products.reshape(self.group, made, rows.count, columns.count)
        for image, target in zip(images, result, strict=True):
            sums[...] = weights["bias"].reshape(self.group, -1, 1, 1) if "bias" in weights else 0
            wide[...] = image.reshape(wide.shape)
            for r, s in np.ndindex(kernel_rows, kernel_columns):
                (values_r, places_r), (values_s, places_s) = rows.overlap(r), columns.overlap(s)
                np.matmul(matrices[r, s], wide, out=products)
                sums[:, :, places_r, places_s] += product[:, :, values_r, values_s]
            target[...] = sums.reshape(target.shape)
        return (result,)

    def parts_at(
        self, inputs: Sequence[Array], weights: Mapping[str, Array], places: Sequence[Place], output: int = 0
    ) -> Sequence[Part]:
        """Return, for each value, the inputs that spread to it, and its kernel, alone."""
        (images,) = inputs
        channels, made = weights["weight"].shape[:2]
        taken = channels // self.group
        along = self.windows(images.shape, weights["weight"].shape)
        parts = []
        for place in places:
            image, channel, i, j = place
            (rows, top, below), (columns, left, beside) = _spreading(along[0], i), _spreading(along[1], j)
            first, number = channel // made * taken, channel % made
            seen = images[image : image + 1, first : first + taken, rows, columns]
            own = {"weight": weights["weight"][first : first + taken, number : number + 1]}
            if "bias" in weights:
                own["bias"] = weights["bias"][channel : channel + 1]
            layer = attrs.evolve(self, pad=(top, left, 0, 0), output_pad=(below, beside), group=1)
            parts.append(Part(layer, (seen,), own, ((place, (0, 0, 0, 0)),)))
        return parts

    def error_bound(
        self, inputs: Sequence[Array], weights: Mapping[str, Array], exact: Sequence[Array]
    ) -> tuple[Array, ...]:
        """Return the bound of a sum with at most one product for each weight of an output, and the bias."""
        (squares,) = self.reference([x**2 for x in inputs], {name: w**2 for name, w in weights.items()})
        channels, _, rows, columns = weights["weight"].shape
        return (sum_bound(channels // self.group * rows * columns + 1, exact[0], squares),)


def _spreading(along: Windows, index: int) -> tuple[slice, int, int]:
    """Return the inputs that spread to a place, what is then to be cut off before it, and what to add behind.

    At least one, whether or not it reaches the place. On these inputs alone, that place is the first.
    """
    place = index + along.before
    reach = along.dilation * (along.kernel - 1)
    last = min(along.count - 1, place // along.stride)
    first = min(last, max(0, -((reach - place) // along.stride)))
    before = place - first * along.stride
    extent = (last - first) * along.stride + reach + 1
    return slice(first, last + 1), before, max(0, before + 1 - extent)
