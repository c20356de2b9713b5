"""Resize: an image becomes larger or smaller."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import attrs

from cnnrt.errors import KeyValueError, ShapeError
from cnnrt.keys import boolean, choice, number, numbers, optional_pair
from cnnrt.layer import Array, Layer, Part, Place, Shape, expect_rank, shape_text
from cnnrt_layers.resampling import (
    COORDINATES,
    ROUNDINGS,
    Taps,
    channels_alone,
    coordinates_of,
    cubic_taps,
    linear_taps,
    nearest_taps,
    resample,
    scaled_size,
)


@attrs.frozen(kw_only=True)
class Resize(Layer):
    """Gives an image another number of rows and columns (upsampling, interpolation).

    Input (N, C, H, W), output (N, C, OH, OW): of the stated `size`, or `scale` times as large, rounded down, or with
    the rows and columns of a second input, whose values do not matter. `mode` nearest copies values, linear weighs two
    neighbours along each axis, cubic four.

    Frameworks differ in where a pixel of the output lies in the input. With `scale` s and i counted from 0: half_pixel,
    (i + 0.5) / s - 0.5 (OpenCV, TensorFlow 2, PyTorch); pytorch_half_pixel, the same but 0 where the output has one
    pixel; align_corners, i * (H - 1) / (OH - 1) (Caffe's Interp); asymmetric, i / s (TensorFlow 1, Darknet). s is OH /
    H where `size` is stated. Beyond the edges the outermost value goes on.
    """

    type = "Resize"
    inputs = (1, 2)
    formula = "y[n, c, i, j] = sum over a, b of weight(i, a) * weight(j, b) * x[n, c, a, b]"
    example = """
        layer {
          type: "Resize"
          name: "up1"
          scale: 2
          mode: "nearest"
        }
    """
    suite = "cnnrt_layers.conformance.suites:ResizeSuite"

    mode: str = choice(
        "nearest", choices={"nearest": "nearest", "linear": "linear", "cubic": "cubic"}, doc="how values are made"
    )
    size: tuple[int, int] | None = optional_pair(doc="rows and columns of the output")
    scale: tuple[float, ...] = numbers((), doc="factor of rows and columns, or of each, instead of size")
    coordinates: str = choice(
        "half_pixel", choices={name: name for name in COORDINATES}, doc="where a pixel of the output lies in the input"
    )
    rounding: str = choice(
        "round_prefer_floor", choices={name: name for name in ROUNDINGS}, doc="which value is the nearest one"
    )
    cubic_coeff: float = number(-0.75, doc="the a of the cubic: -0.75 in PyTorch and OpenCV, -0.5 in TensorFlow")
    exclude_outside: bool = boolean(False, doc="let a cubic weigh the values inside only, not go on at the edge")

    def __attrs_post_init__(self) -> None:
        if self.size is not None and self.scale:
            raise KeyValueError("scale", "expected either size or scale")
        if len(self.scale) > 2 or any(factor <= 0 for factor in self.scale):
            raise KeyValueError("scale", f"expected one or two positive numbers, got {list(self.scale)}")

    def sizes(self, inputs: Sequence[Shape]) -> tuple[int, int]:
        """Return rows and columns of the output."""
        height, width = inputs[0][2:]
        if len(inputs) == 2:
            if self.size is not None or self.scale:
                raise ShapeError("the second input gives the size: leave size and scale out")
            expect_rank(inputs[1], 4, "second input")
            return inputs[1][2], inputs[1][3]
        if self.size is not None:
            return self.size
        if not self.scale:
            raise ShapeError("expected size, scale or a second input, so that the size of the output is known")
        return scaled_size(height, self.scale[0]), scaled_size(width, self.scale[-1])

    def output_shapes(self, inputs: Sequence[Shape], weights: Mapping[str, Shape]) -> tuple[Shape, ...]:
        """Return (N, C, OH, OW)."""
        expect_rank(inputs[0], 4)
        rows, columns = self.sizes(inputs)
        if not (rows and columns and all(inputs[0][2:])):
            raise ShapeError(f"an image of {shape_text(inputs[0][2:])} cannot become one of {rows}×{columns} pixels")
        return ((*inputs[0][:2], rows, columns),)

    def is_identity(self, inputs: Sequence[Shape]) -> bool:
        """Tell whether the size stays and every pixel lies where it was."""
        if len(inputs) == 2 or len(inputs[0]) != 4:
            return False
        return self.sizes(inputs) == inputs[0][2:] and set(self.scale) <= {1.0}

    def itemwise(self, inputs: Sequence[Shape]) -> bool:
        """Return True: every image by itself."""
        return True

    def taps(self, inputs: Sequence[Shape]) -> tuple[Taps, Taps]:
        """Return of which rows, and of which columns, those of the output are made."""
        rows, columns = self.sizes(inputs)
        height, width = inputs[0][2:]
        scales = self.scale or (rows / height, columns / width)
        return self._taps(height, rows, scales[0]), self._taps(width, columns, scales[-1])

    def _taps(self, size: int, places: int, scale: float) -> Taps:
        at = coordinates_of(size, places, scale, self.coordinates)
        match self.mode:
            case "nearest":
                return nearest_taps(size, at, self.rounding)
            case "linear":
                return linear_taps(size, at)
            case _:
                return cubic_taps(size, at, self.cubic_coeff, self.exclude_outside)

    def flops(self, inputs: Sequence[Shape], outputs: Sequence[Shape], weights: Mapping[str, Shape]) -> int:
        """Return 2 for each value that is weighed, rows and columns one after the other; none for copies."""
        return {"nearest": 0, "linear": 8, "cubic": 16}[self.mode] * math.prod(outputs[0])

    def reference_workspace(
        self, inputs: Sequence[Shape], outputs: Sequence[Shape], weights: Mapping[str, Shape]
    ) -> int:
        """Return the bytes of the input, the image between the two axes, the result and products, all in float64."""
        (images, channels, height, width), (_, _, rows, columns) = inputs[0], outputs[0]
        between, taps = rows * width, 40 * (height + rows + width + columns)
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
