"""PriorBox: the default boxes of SSD."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import attrs
import numpy as np

from cnnrt.errors import KeyValueError, ShapeError
from cnnrt.keys import boolean, integer, number, numbers
from cnnrt.layer import Array, Layer, Shape, expect_rank

SAME_RATIO = 1e-6
"""Aspect ratios nearer than that count once, as in the original."""


@attrs.frozen(kw_only=True)
class PriorBox(Layer):
    """Lays boxes of several sizes and shapes around the middle of each cell of a feature map (SSD, Liu et al., 2016).

    Inputs: features (N, C, H, W) and the network's image (N, C', H', W'); only their sizes matter. Output (1, 2, H × W
    × boxes × 4), the same for all images: first the boxes, (xmin, ymin, xmax, ymax) as shares of the image, row by row,
    cell by cell; then the variances of each. The boxes of a cell: for each `min_size` a square of it, one of the
    geometric mean with its `max_size`, and one of each further aspect ratio.
    """

    type = "PriorBox"
    inputs = (2, 2)
    formula = """
        middle of cell (i, j):  ((j + offset) * step_w, (i + offset) * step_h)
        boxes:  min_size × min_size;  s × s with s = sqrt(min_size * max_size);
                min_size * sqrt(ratio) × min_size / sqrt(ratio) for every aspect ratio other than 1
    """
    example = """
        layer {
          type: "PriorBox"
          name: "conv4_3_priors"
          bottom: ["branch1", "branch2"]
          min_size: 30
          max_size: 60
          aspect_ratio: 2
          step: 8
          variance: [0.1, 0.1, 0.2, 0.2]
        }
    """
    suite = "cnnrt_layers.conformance.suites:PriorBoxSuite"

    min_size: tuple[float, ...] = numbers(doc="side of the smaller square, one or several", unit="pixels")
    max_size: tuple[float, ...] = numbers((), doc="none, or one, larger, for each min_size", unit="pixels")
    aspect_ratio: tuple[float, ...] = numbers((), doc="width by height of further boxes; 1 is always there")
    flip: bool = boolean(True, doc="whether the inverse of each ratio is taken too")
    clip: bool = boolean(False, doc="whether boxes are cut at the edge of the image")
    variance: tuple[float, ...] = numbers((0.1,), doc="one, or four: of the middle's x and y, of width and height")
    img_w: int = integer(0, doc="width of the image; 0: that of the second input", minimum=0, unit="pixels")
    img_h: int = integer(0, doc="height of the image; 0: that of the second input", minimum=0, unit="pixels")
    step: float = number(0.0, doc="width and height of a cell; 0: image by features, or step_w and step_h", minimum=0)
    step_w: float = number(0.0, doc="width of a cell; with step_h, instead of step", minimum=0, unit="pixels")
    step_h: float = number(0.0, doc="height of a cell; with step_w, instead of step", minimum=0, unit="pixels")
    offset: float = number(0.5, doc="where in its cell the middle of a box lies")

    def __attrs_post_init__(self) -> None:
        if not self.min_size or min(self.min_size) <= 0:
            raise KeyValueError("min_size", f"expected positive sizes, got {list(self.min_size)}")
        if self.max_size and len(self.max_size) != len(self.min_size):
            raise KeyValueError("max_size", f"expected none or {len(self.min_size)}, got {len(self.max_size)}")
        if any(large <= small for small, large in zip(self.min_size, self.max_size, strict=False)):
            raise KeyValueError("max_size", "expected each to be larger than its min_size")
        if any(ratio <= 0 for ratio in self.aspect_ratio):
            raise KeyValueError("aspect_ratio", f"expected positive numbers, got {list(self.aspect_ratio)}")
        if len(self.variance) not in (1, 4) or min(self.variance) <= 0:
            raise KeyValueError("variance", f"expected one or four positive numbers, got {list(self.variance)}")
        if (self.step_w == 0) != (self.step_h == 0) or (self.step and self.step_w):
            raise KeyValueError("step", "expected step, or both step_w and step_h, or none")

    def ratios(self) -> list[float]:
        """Return the aspect ratios in their order, 1 first, each once."""
        found = [1.0]
        for ratio in self.aspect_ratio:
            if all(abs(ratio - known) >= SAME_RATIO for known in found):
                found += [ratio, 1 / ratio] if self.flip else [ratio]
        return found

    def boxes(self) -> list[tuple[float, float]]:
        """Return width and height of the boxes of a cell, in pixels."""
        found = []
        for place, small in enumerate(self.min_size):
            found.append((small, small))
            if self.max_size:
                side = math.sqrt(small * self.max_size[place])
                found.append((side, side))
            found += [(small * math.sqrt(r), small / math.sqrt(r)) for r in self.ratios() if abs(r - 1) >= SAME_RATIO]
        return found

    def output_shapes(self, inputs: Sequence[Shape], weights: Mapping[str, Shape]) -> tuple[Shape, ...]:
        """Return (1, 2, H × W × boxes × 4)."""
        for place, shape in enumerate(inputs, start=1):
            expect_rank(shape, 4, f"input {place}")
            if 0 in shape[2:]:
                raise ShapeError(f"expected input {place} of at least one row and one column")
        count = math.prod(inputs[0][2:]) * len(self.boxes())
        return ((1, 2, 4 * count),)

    def flops(self, inputs: Sequence[Shape], outputs: Sequence[Shape], weights: Mapping[str, Shape]) -> int:
        """Return 2 for each value: a difference and a quotient."""
        return math.prod(outputs[0])

    def reference_workspace(
        self, inputs: Sequence[Shape], outputs: Sequence[Shape], weights: Mapping[str, Shape]
    ) -> int:
        """Return the bytes of the boxes in float64, twice."""
        return 16 * math.prod(outputs[0])

    def reference(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        """Compute the boxes in float64; shapes and dtypes as in `Layer.reference`."""
        features, image = inputs
        rows, columns = features.shape[2:]
        height, width = self.img_h or image.shape[2], self.img_w or image.shape[3]
        step_h = self.step or self.step_h or height / rows
        step_w = self.step or self.step_w or width / columns
        middles_y = ((np.arange(rows) + self.offset) * step_h).reshape(-1, 1, 1)
        middles_x = ((np.arange(columns) + self.offset) * step_w).reshape(1, -1, 1)
        widths, heights = np.array(self.boxes(), np.float64).T
        priors = np.empty((rows, columns, len(widths), 4))
        priors[..., 0] = (middles_x - widths / 2) / width
        priors[..., 1] = (middles_y - heights / 2) / height
        priors[..., 2] = (middles_x + widths / 2) / width
        priors[..., 3] = (middles_y + heights / 2) / height
        if self.clip:
            np.clip(priors, 0, 1, out=priors)
        result = np.empty((1, 2, priors.size), features.dtype)
        result[0, 0] = priors.reshape(-1)
        result[0, 1].reshape(-1, 4)[...] = self.variance
        return (result,)
