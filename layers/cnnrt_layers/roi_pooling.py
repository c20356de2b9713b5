"""ROIPooling: the maxima in a grid laid over each region of interest."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import attrs
import numpy as np

from cnnrt.errors import ShapeError
from cnnrt.keys import integer, number
from cnnrt.layer import Array, Layer, Shape, expect_rank, shape_text


@attrs.frozen(kw_only=True)
class ROIPooling(Layer):
    """Lays a grid over each region of an image and keeps the maximum in each of its cells (Fast R-CNN, Girshick, 2015).

    Inputs: features (N, C, H, W), and regions (R, 5), each (number of the image, left, top, right, bottom) in pixels of
    the network's input, edges included. Output (R, C, pooled_h, pooled_w). As in the original, corners are scaled and
    rounded half away from zero, a region has at least one pixel, cells overlap where it does not divide, and a cell
    beyond the image gives 0. A region whose image does not exist is not a number (NaN) throughout.
    """

    type = "ROIPooling"
    inputs = (2, 2)
    formula = """
        y[r, c, i, j] = maximum of x[image(r), c, a, b],  or 0 where no such pixel is in the image
        top + floor(i * height / pooled_h) <= a < top + ceil((i + 1) * height / pooled_h),  b likewise
    """
    example = """
        layer {
          type: "ROIPooling"
          name: "roi_pool5"
          bottom: ["branch1", "branch2"]
          pooled_h: 7
          pooled_w: 7
          spatial_scale: 0.0625
        }
    """
    suite = "cnnrt_layers.conformance.suites:ROIPoolingSuite"

    pooled_h: int = integer(doc="rows of the grid", minimum=1)
    pooled_w: int = integer(doc="columns of the grid", minimum=1)
    spatial_scale: float = number(1.0, doc="pixels of the features for each pixel of the network's input")

    def output_shapes(self, inputs: Sequence[Shape], weights: Mapping[str, Shape]) -> tuple[Shape, ...]:
        """Return (R, C, pooled_h, pooled_w)."""
        features, regions = inputs
        expect_rank(features, 4)
        if len(regions) < 2 or math.prod(regions[1:]) != 5:
            raise ShapeError(f"expected regions of shape (regions, 5), got {shape_text(regions)}")
        return ((regions[0], features[1], self.pooled_h, self.pooled_w),)

    def flops(self, inputs: Sequence[Shape], outputs: Sequence[Shape], weights: Mapping[str, Shape]) -> int:
        """Return one comparison for each value, as if every region were the whole image."""
        return inputs[1][0] * math.prod(inputs[0][1:])

    def reference_workspace(
        self, inputs: Sequence[Shape], outputs: Sequence[Shape], weights: Mapping[str, Shape]
    ) -> int:
        """Return the bytes of the regions in float64."""
        return 64 * inputs[1][0]

    def reference(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        """Go through regions and cells; shapes and dtypes as in `Layer.reference`."""
        features, regions = inputs[0], inputs[1].reshape(-1, 5).astype(np.float64)
        result = np.zeros((len(regions), features.shape[1], self.pooled_h, self.pooled_w), features.dtype)
        with np.errstate(all="ignore"):
            corners = _rounded(regions[:, 1:] * self.spatial_scale)
        for region, number_of_image, (left, top, right, bottom) in zip(result, regions[:, 0], corners, strict=True):
            if not (0 <= number_of_image < len(features) and np.isfinite((left, top, right, bottom)).all()):
                region[...] = np.nan
                continue
            rows = _cells(top, bottom, self.pooled_h, features.shape[2])
            columns = _cells(left, right, self.pooled_w, features.shape[3])
            image = features[int(number_of_image)]
            for i, row in enumerate(rows):
                for j, column in enumerate(columns):
                    cell = image[:, row, column]
                    if cell.shape[1] and cell.shape[2]:
                        region[:, i, j] = cell.max(axis=(1, 2))
        return (result,)


def _rounded(x: Array) -> Array:
    """Round half away from zero, as C's round does."""
    return np.copysign(np.floor(np.abs(x) + 0.5), x)


def _cells(first: float, last: float, count: int, size: int) -> list[slice]:
    """Return the cells along one axis, clipped to the image."""
    width = max(last - first + 1, 1.0) / count
    edges = [(math.floor(i * width) + first, math.ceil((i + 1) * width) + first) for i in range(count)]
    return [slice(int(min(max(a, 0), size)), int(min(max(b, 0), size))) for a, b in edges]
