"""MaxUnpool: maxima go back to where they were."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs
import numpy as np

from cnnrt.errors import KeyValueError, ShapeError
from cnnrt.keys import optional_pair, padding, pair
from cnnrt.layer import Array, Shape, expect_rank, shape_text
from cnnrt_layers.moves import Moves


@attrs.frozen(kw_only=True)
class MaxUnpool(Moves):
    """Puts each value of the first input at the place that the second one names; everything else is 0.

    Inputs: values and places, both (N, C, H, W); output (N, C, OH, OW). A place is counted row by row from 0 in the
    image of its channel, as Pooling with `mask` gives it; a value whose place is not in the image is dropped, and of
    several for one place the last counts. The size is that of a third input, or `size`, or by default the one that
    Pooling with these keys makes H × W of: (H - 1) * stride + kernel_size - top - bottom.
    """

    type = "MaxUnpool"
    inputs = (2, 3)
    formula = "y[n, c, place(n, c, i, j)] = x[n, c, i, j],  0 elsewhere"
    example = """
        layer {
          type: "MaxUnpool"
          name: "unpool1"
          bottom: ["branch1", "branch2"]
          kernel_size: 2
          stride: 2
        }
    """
    suite = "cnnrt_layers.conformance.suites:MaxUnpoolSuite"

    size: tuple[int, int] | None = optional_pair(doc="rows and columns of the output")
    kernel_size: tuple[int, int] | None = optional_pair(doc="size of the window that was pooled, instead of size")
    stride: tuple[int, int] = pair(1, doc="distance from one window to the next")
    pad: tuple[int, int, int, int] = padding(doc="width of the border that was put around the image")

    def __attrs_post_init__(self) -> None:
        if self.size is not None and self.kernel_size is not None:
            raise KeyValueError("kernel_size", "expected either size or kernel_size")

    def sizes(self, inputs: Sequence[Shape]) -> tuple[int, int]:
        """Return rows and columns of the output."""
        if len(inputs) == 3:
            expect_rank(inputs[2], 4, "third input")
            return inputs[2][2], inputs[2][3]
        if self.size is not None:
            return self.size
        if self.kernel_size is None:
            raise ShapeError("expected size, kernel_size or a third input, so that the size of the output is known")
        top, left, bottom, right = self.pad
        rows, columns = (
            (count - 1) * stride + kernel - cut
            for count, stride, kernel, cut in zip(
                inputs[0][2:], self.stride, self.kernel_size, (top + bottom, left + right), strict=True
            )
        )
        return rows, columns

    def output_shapes(self, inputs: Sequence[Shape], weights: Mapping[str, Shape]) -> tuple[Shape, ...]:
        """Return (N, C, OH, OW)."""
        expect_rank(inputs[0], 4)
        if inputs[1] != inputs[0]:
            raise ShapeError(f"{shape_text(inputs[0])} values need as many places, got {shape_text(inputs[1])}")
        rows, columns = self.sizes(inputs)
        if rows < 1 or columns < 1:
            raise ShapeError(f"values of {shape_text(inputs[0])} cannot go back into {rows}×{columns} pixels")
        return ((*inputs[0][:2], rows, columns),)

    def reference_workspace(
        self, inputs: Sequence[Shape], outputs: Sequence[Shape], weights: Mapping[str, Shape]
    ) -> int:
        """Return the bytes of one channel's places and of those that are in the image."""
        return 32 * inputs[0][2] * inputs[0][3]

    def reference(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        """Go through the channels; shapes and dtypes as in `Layer.reference`."""
        values, places = inputs[:2]
        (shape,) = self.output_shapes([x.shape for x in inputs], {})
        result = np.zeros(shape, values.dtype)
        pixels = shape[2] * shape[3]
        for n, c in np.ndindex(*shape[:2]):
            where, what = places[n, c].reshape(-1), values[n, c].reshape(-1)
            inside = (where >= 0) & (where < pixels)
            result[n, c].reshape(-1)[where[inside].astype(np.int64)] = what[inside]
        return (result,)
