"""MatMul: the product of two matrices, both computed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import attrs
import numpy as np

from cnnrt.errors import ShapeError
from cnnrt.keys import boolean
from cnnrt.layer import Array, Layer, Shape, shape_text
from cnnrt_layers.broadcasting import broadcast_shape


@attrs.frozen(kw_only=True)
class MatMul(Layer):
    """Multiplies the matrices in the last two axes of its inputs; the axes before them are broadcast.

    Inputs (..., M, K) and (..., K, N) give (..., M, N). An input of a single axis is a row, as the first, or a column,
    as the second; that axis is left out of the output. Where one operand is stored, FullyConnected is the layer.
    """

    type = "MatMul"
    inputs = (2, 2)
    formula = "y[..., m, n] = sum over k of x1[..., m, k] * x2[..., k, n]"
    example = """
        layer {
          type: "MatMul"
          name: "attend"
          bottom: ["branch1", "branch2"]
          transpose_b: true
        }
    """
    suite = "cnnrt_layers.conformance.suites:MatMulSuite"

    transpose_a: bool = boolean(False, doc="take the first input's matrices as (K, M)")
    transpose_b: bool = boolean(False, doc="take the second input's matrices as (N, K)")

    def output_shapes(self, inputs: Sequence[Shape], weights: Mapping[str, Shape]) -> tuple[Shape, ...]:
        """Return (..., M, N)."""
        first, second = self._matrices(inputs)
        if first[-1] != second[-2]:
            raise ShapeError(
                f"matrices of {shape_text(first[-2:])} and {shape_text(second[-2:])} have no product: {first[-1]} "
                f"columns, but {second[-2]} rows; the inputs are {shape_text(inputs[0])} and {shape_text(inputs[1])}"
            )
        before = broadcast_shape([first[:-2], second[:-2]])
        rows = () if len(inputs[0]) == 1 else (first[-2],)
        columns = () if len(inputs[1]) == 1 else (second[-1],)
        return ((*before, *rows, *columns),)

    def _matrices(self, inputs: Sequence[Shape]) -> tuple[Shape, Shape]:
        """Return the shapes as those of matrices (..., M, K) and (..., K, N)."""
        first, second = inputs
        if not first or not second:
            raise ShapeError(f"expected matrices, got {shape_text(first)} and {shape_text(second)}")
        first = (1, *first) if len(first) == 1 else first
        second = (*second, 1) if len(second) == 1 else second
        if self.transpose_a and len(inputs[0]) > 1:
            first = (*first[:-2], first[-1], first[-2])
        if self.transpose_b and len(inputs[1]) > 1:
            second = (*second[:-2], second[-1], second[-2])
        return first, second

    def flops(self, inputs: Sequence[Shape], outputs: Sequence[Shape], weights: Mapping[str, Shape]) -> int:
        """Return 2 for each product."""
        first, _ = self._matrices(inputs)
        return 2 * math.prod(outputs[0]) * first[-1]

    def reference(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        """Multiply in float64; shapes and dtypes as in `Layer.reference`."""
        first, second = (x.astype(np.float64) for x in inputs)
        if self.transpose_a and first.ndim > 1:
            first = np.swapaxes(first, -1, -2)
        if self.transpose_b and second.ndim > 1:
            second = np.swapaxes(second, -1, -2)
        with np.errstate(all="ignore"):
            return (np.asarray(first @ second).astype(inputs[0].dtype, copy=False),)
