"""Pooling: every output value is the maximum, the mean or a norm of a window of the input."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import attrs
import numpy as np

from cnnrt.errors import KeyValueError, ShapeError
from cnnrt.keys import boolean, choice, number, optional_pair, padding, pair
from cnnrt.layer import Array, Layer, Part, Place, Shape, expect_rank, shape_text
from cnnrt.rounding import FLOAT32, UNDERFLOW
from cnnrt_layers.sum_bound import sum_bound
from cnnrt_layers.windows import Windows, pooling_windows


@attrs.frozen(kw_only=True)
class Pooling(Layer):
    """Slides a window over each channel and keeps the maximum, the mean or the p-norm of what it sees.

    Input (N, C, H, W), output (N, C, OH, OW). `kernel_size` must be stated unless `global_pooling` is true, which
    takes the whole image as one window and then allows neither `kernel_size`, nor padding, nor a stride.

    With `mask`, a second value holds the place of each maximum in its channel's image, counted row by row from 0, the
    first of equal ones: what MaxUnpool takes.

    Padding never wins a maximum. A mean divides by the area of the window as far as it lies in the padded image,
    as in Caffe, or with `count_include_pad: false` by the number of real pixels.

    The output size rounds up, so that the last window may reach over the edge; it is dropped where it would start
    beyond the last real pixel. Caffe drops it only if there is padding and otherwise (a stride larger than
    the kernel) leaves an undefined value; here it is always dropped. An image smaller than the kernel gives one value,
    as in Caffe, as long as the stride bridges the difference. `ceil_mode: false` rounds down, as other frameworks do.

    CNNdroid's code rounded up without dropping or clipping the last window, read out of bounds where a maximum was
    padded, and in its threaded form applied a ReLU exactly when none was asked for. Here it is Caffe's rule throughout.
    """

    type = "Pooling"
    folds = ("ReLU",)
    formula = """
        max:   y[n, c, i, j] = maximum of x[n, c, a, b] over the real pixels of window (i, j)
        mean:  y[n, c, i, j] = sum of x[n, c, a, b] over the real pixels of window (i, j) / area(i, j)
        lp:    y[n, c, i, j] = (sum of |x[n, c, a, b]| ** p over the real pixels of window (i, j)) ** (1 / p)
        window (i, j) holds the rows a = i * stride - top + r * dilation, r = 0 ... KH - 1, and columns b likewise
        OH = ceil((H + top + bottom - dilation * (KH - 1) - 1) / stride) + 1,  OW likewise
             less 1 if the last window starts at or beyond H
    """
    example = """
        layer {
          type: "Pooling"
          name: "pool1"
          pool: "max"
          kernel_size: 3
          stride: 2
        }
    """
    suite = "cnnrt_layers.conformance.suites:PoolingSuite"

    pool: str = choice(
        "max",
        choices={"max": "max", "mean": "mean", "ave": "mean", "average": "mean", "lp": "lp"},
        doc="what is kept of each window",
    )
    kernel_size: tuple[int, int] | None = optional_pair(
        doc="size of the window, n or [vertical, horizontal]; required unless global_pooling is true"
    )
    stride: tuple[int, int] = pair(1, doc="distance from one window to the next")
    pad: tuple[int, int, int, int] = padding(
        doc="width of the border around the image: n, [vertical, horizontal] or all four; smaller than the window"
    )
    dilation: tuple[int, int] = pair(1, doc="distance between neighbouring values of a window")
    p: float = number(2.0, minimum=1, doc="which norm lp pooling gives")
    mask: bool = boolean(False, doc="give the places of the maxima too, as a second value")
    ceil_mode: bool = boolean(True, doc="round the output size up (Caffe) or down")
    count_include_pad: bool = boolean(True, doc="whether padding counts in the divisor of a mean")
    global_pooling: bool = boolean(False, doc="take the whole image as the only window")

    def __attrs_post_init__(self) -> None:
        if self.mask and self.pool != "max":
            raise KeyValueError("mask", f"only a maximum has a place; leave it out where pool is {self.pool!r}")
        if self.global_pooling:
            if self.kernel_size is not None:
                raise KeyValueError("kernel_size", "global_pooling takes the whole image; leave kernel_size out")
            if self.stride != (1, 1):
                raise KeyValueError("stride", "global_pooling has one window; leave stride out")
            if self.dilation != (1, 1):
                raise KeyValueError("dilation", "global_pooling takes the image as it is; leave dilation out")
            if any(self.pad):
                raise KeyValueError("pad", "global_pooling takes the image as it is; leave pad out")
            return
        if self.kernel_size is None:
            raise KeyValueError("kernel_size", "must be stated unless global_pooling is true")
        (rows, columns), (top, left, bottom, right) = self.kernel_size, self.pad
        rows, columns = ((k - 1) * d + 1 for k, d in zip((rows, columns), self.dilation, strict=True))
        if max(top, bottom) >= rows or max(left, right) >= columns:
            raise KeyValueError(
                "pad", f"must be smaller than the window, {rows}×{columns}, or one could miss the image altogether"
            )

    def windows(self, input_shape: Shape) -> tuple[Windows, Windows]:
        """Return the windows along rows and along columns; ShapeError where none fits."""
        height, width = input_shape[2:]
        kernel_rows, kernel_columns = self.kernel_size or (height, width)
        top, left, bottom, right = self.pad
        return (
            self._along(0, height, kernel_rows, top, bottom, "rows"),
            self._along(1, width, kernel_columns, left, right, "columns"),
        )

    def _along(self, axis: int, size: int, kernel: int, before: int, after: int, unit: str) -> Windows:
        stride, dilation = self.stride[axis], self.dilation[axis]
        return pooling_windows(size, kernel, stride, before, after, self.ceil_mode, unit, dilation)

    def divisors(self, along: Windows) -> Array:
        """Return, for each window along one axis, how many values a mean counts there (float64)."""
        starts = np.arange(along.count, dtype=np.float64) * along.stride - along.before
        if along.dilation > 1:
            least, most = (-along.before, along.size + along.after) if self.count_include_pad else (0, along.size)
            below = np.ceil((least - starts) / along.dilation).clip(0, along.kernel)
            inside: Array = np.ceil((most - starts) / along.dilation).clip(0, along.kernel) - below
            return inside
        if self.count_include_pad:
            return np.minimum(starts + along.kernel, along.size + along.after) - starts
        return np.minimum(starts + along.kernel, along.size) - np.maximum(starts, 0)

    def output_shapes(self, inputs: Sequence[Shape], weights: Mapping[str, Shape]) -> tuple[Shape, ...]:
        """Return (N, C, OH, OW)."""
        expect_rank(inputs[0], 4)
        if 0 in inputs[0][2:]:
            raise ShapeError(f"expected an image of at least one row and one column, got {shape_text(inputs[0])}")
        rows, columns = self.windows(inputs[0])
        return ((*inputs[0][:2], rows.count, columns.count),) * (2 if self.mask else 1)

    def itemwise(self, inputs: Sequence[Shape]) -> bool:
        """Return True unless places are counted through the batch."""
        return not self.mask

    def flops(self, inputs: Sequence[Shape], outputs: Sequence[Shape], weights: Mapping[str, Shape]) -> int:
        """Return 1 for each value of each window, as if none were clipped."""
        rows, columns = self.windows(inputs[0])
        return math.prod(outputs[0]) * rows.kernel * columns.kernel

    def reference_workspace(
        self, inputs: Sequence[Shape], outputs: Sequence[Shape], weights: Mapping[str, Shape]
    ) -> int:
        """Return the bytes of sums, powers and divisors in float64; a maximum needs nothing, its place comparisons."""
        values = math.prod(outputs[0])
        if self.pool == "max":
            return 8 * values if self.mask else 0
        height, width = outputs[0][2:]
        return 8 * (values * (3 if self.pool == "lp" else 1) + height * width + 6 * (height + width))

    def reference(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        """Go through the positions of the window; shapes and dtypes as in `Layer.reference`."""
        (images,) = inputs
        rows, columns = self.windows(images.shape)
        if self.mask:
            return self._maxima_and_places(images, rows, columns)
        shape = (*images.shape[:2], rows.count, columns.count)
        accumulate: np.ufunc = np.maximum if self.pool == "max" else np.add
        result = np.full(shape, -np.inf, images.dtype) if self.pool == "max" else np.zeros(shape)
        for r, s in np.ndindex(rows.kernel, columns.kernel):
            (windows_r, values_r), (windows_s, values_s) = rows.overlap(r), columns.overlap(s)
            meeting = result[:, :, windows_r, windows_s]
            seen = images[:, :, values_r, values_s]
            if self.pool == "lp":
                seen = np.abs(seen, dtype=np.float64)
                seen **= self.p
            accumulate(meeting, seen, out=meeting)
        if self.pool == "mean":
            with np.errstate(invalid="ignore"):  # dilated, a window may see nothing but padding: not a number
                result /= np.outer(self.divisors(rows), self.divisors(columns))
        if self.pool == "lp":
            result **= 1 / self.p
        return (result.astype(images.dtype, copy=False),)

    def _maxima_and_places(self, images: Array, rows: Windows, columns: Windows) -> tuple[Array, Array]:
        """Return the maxima, and where each first is."""
        shape = (*images.shape[:2], rows.count, columns.count)
        maxima, places = np.full(shape, -np.inf, images.dtype), np.zeros(shape, images.dtype)
        numbers = np.arange(rows.size * columns.size, dtype=images.dtype).reshape(rows.size, columns.size)
        for r, s in np.ndindex(rows.kernel, columns.kernel):
            (windows_r, values_r), (windows_s, values_s) = rows.overlap(r), columns.overlap(s)
            seen, meeting = images[:, :, values_r, values_s], maxima[:, :, windows_r, windows_s]
            larger = seen > meeting
            np.copyto(places[:, :, windows_r, windows_s], numbers[values_r, values_s], where=larger)
            np.copyto(meeting, seen, where=larger)
        return maxima, places

    def parts_at(
        self, inputs: Sequence[Array], weights: Mapping[str, Array], places: Sequence[Place], output: int = 0
    ) -> Sequence[Part]:
        """Return, for each value, its window alone; a maximum's place, though, is one in the whole image."""
        if self.mask:
            return super().parts_at(inputs, weights, places, output)
        (images,) = inputs
        along = self.windows(images.shape)
        parts = []
        for place in places:
            image, channel, i, j = place
            (rows, top, bottom), (columns, left, right) = along[0].cut(i), along[1].cut(j)
            seen = images[image : image + 1, channel : channel + 1, rows, columns]
            layer = self if self.global_pooling else attrs.evolve(self, pad=(top, left, bottom, right))
            parts.append(Part(layer, (seen,), {}, ((place, (0, 0, 0, 0)),)))
        return parts

    def error_bound(
        self, inputs: Sequence[Array], weights: Mapping[str, Array], exact: Sequence[Array]
    ) -> tuple[Array, ...]:
        """Return 0 for a maximum and its place, and the bound of a sum over the window for a mean or a norm."""
        if self.pool == "max":
            return tuple(np.zeros_like(value) for value in exact)
        rows, columns = self.windows(inputs[0].shape)
        if self.pool == "lp":
            relative = 4 * math.sqrt(rows.kernel * columns.kernel) + 16
            return (relative * FLOAT32 * exact[0] + UNDERFLOW,)
        (squares,) = self.reference([inputs[0] ** 2], {})
        squares = squares / np.outer(self.divisors(rows), self.divisors(columns))
        return (sum_bound(rows.kernel * columns.kernel, exact[0], squares),)
