"""Interp: an image becomes larger or smaller with its corners in place."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import attrs

from cnnrt.errors import KeyValueError, ShapeError
from cnnrt.keys import integer, optional_integer
from cnnrt.layer import Array, Layer, Part, Place, Shape, expect_rank, shape_text
from cnnrt_layers.resampling import Taps, channels_alone, coordinates_of, linear_taps, resample


@attrs.frozen(kw_only=True)
class Interp(Layer):
    """Interpolates linearly between pixels, the corners of the output being those of the input (DeepLab's, PSPNet's).

    Input (N, C, H, W), output (N, C, OH, OW). The image is cut first, by `pad_beg` and `pad_end`, which are negative.
    The size is `height` × `width`, or that of a second input, whose values do not matter, or follows from
    `shrink_factor` and then `zoom_factor`: what is left of one of n pixels is one of (n - 1) / shrink_factor + 1,
    rounded down, and of that, one of n + (n - 1) * (zoom_factor - 1).
    """

    type = "Interp"
    inputs = (1, 2)
    formula = """
        y[n, c, i, j] = x[n, c, a, b], linearly between pixels
        a = i * (H - 1) / (OH - 1),  b = j * (W - 1) / (OW - 1)
    """
    example = """
        layer {
          type: "Interp"
          name: "interp1"
          zoom_factor: 8
        }
    """
    suite = "cnnrt_layers.conformance.suites:InterpSuite"

    height: int | None = optional_integer(doc="rows of the output; with width", minimum=1, unit="pixels")
    width: int | None = optional_integer(doc="columns of the output; with height", minimum=1, unit="pixels")
    shrink_factor: int = integer(1, doc="how many times smaller", minimum=1)
    zoom_factor: int = integer(1, doc="how many times larger", minimum=1)
    pad_beg: int = integer(0, doc="at most 0: pixels to cut off at the top and at the left", unit="pixels")
    pad_end: int = integer(0, doc="at most 0: pixels to cut off at the bottom and at the right", unit="pixels")

    def __attrs_post_init__(self) -> None:
        for key, value in (("pad_beg", self.pad_beg), ("pad_end", self.pad_end)):
            if value > 0:
                raise KeyValueError(key, f"can only cut off, as in the original: expected at most 0, got {value}")
        if (self.height is None) != (self.width is None):
            raise KeyValueError("height", "expected both height and width, or neither")
        if self.height is not None and (self.shrink_factor, self.zoom_factor) != (1, 1):
            raise KeyValueError("height", "expected either height and width, or factors")

    def sizes(self, inputs: Sequence[Shape]) -> tuple[int, int]:
        """Return rows and columns of the output."""
        if len(inputs) == 2:
            expect_rank(inputs[1], 4, "second input")
            return inputs[1][2], inputs[1][3]
        if self.height is not None and self.width is not None:
            return self.height, self.width
        rows, columns = (self._scaled(size + self.pad_beg + self.pad_end) for size in inputs[0][2:])
        return rows, columns

    def _scaled(self, size: int) -> int:
        shrunk = (size - 1) // self.shrink_factor + 1
        return shrunk + (shrunk - 1) * (self.zoom_factor - 1)

    def output_shapes(self, inputs: Sequence[Shape], weights: Mapping[str, Shape]) -> tuple[Shape, ...]:
        """Return (N, C, OH, OW)."""
        expect_rank(inputs[0], 4)
        cut = -self.pad_beg - self.pad_end
        if min(inputs[0][2:]) <= cut:
            raise ShapeError(f"nothing is left of an image of {shape_text(inputs[0][2:])} with {cut} pixels cut off")
        rows, columns = self.sizes(inputs)
        if rows < 1 or columns < 1:
            raise ShapeError(f"an image of {shape_text(inputs[0][2:])} cannot become one of {rows}×{columns} pixels")
        return ((*inputs[0][:2], rows, columns),)

    def itemwise(self, inputs: Sequence[Shape]) -> bool:
        """Return True: every image by itself."""
        return True

    def taps(self, inputs: Sequence[Shape]) -> tuple[Taps, Taps]:
        """Return of which rows of the whole input, and of which columns, those of the output are made."""
        rows, columns = self.sizes(inputs)
        height, width = inputs[0][2:]
        return self._taps(height, rows), self._taps(width, columns)

    def _taps(self, size: int, places: int) -> Taps:
        kept = size + self.pad_beg + self.pad_end
        taps = linear_taps(kept, coordinates_of(kept, places, places / kept, "align_corners"))
        return Taps(taps.places - self.pad_beg, taps.weights)

    def flops(self, inputs: Sequence[Shape], outputs: Sequence[Shape], weights: Mapping[str, Shape]) -> int:
        """Return 8 for each value: two values are weighed along each axis."""
        return 8 * math.prod(outputs[0])

    def reference_workspace(
        self, inputs: Sequence[Shape], outputs: Sequence[Shape], weights: Mapping[str, Shape]
    ) -> int:
        """Return the bytes of the input, the image between the axes, the result and products, all in float64."""
        (images, channels, height, width), (_, _, rows, columns) = inputs[0], outputs[0]
        between, taps = rows * width, 20 * (height + rows + width + columns)
        return 8 * images * channels * (height * width + 3 * between + 3 * rows * columns) + 8 * taps

    def reference(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        """Resample rows, then columns; shapes and dtypes as in `Layer.reference`."""
        x = inputs[0]
        rows, columns = self.taps([value.shape for value in inputs])
        return (resample(x, [(2, rows), (3, columns)]).astype(x.dtype, copy=False),)

    def parts_at(
        self, inputs: Sequence[Array], weights: Mapping[str, Array], places: Sequence[Place], output: int = 0
    ) -> Sequence[Part]:
        """Return the channels of these places alone."""
        return [channels_alone(self, inputs, places)]
