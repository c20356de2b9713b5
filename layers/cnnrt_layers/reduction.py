"""Reduction: many values become one."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import numpy as np

from cnnrt.errors import KeyValueError, ShapeError
from cnnrt.keys import boolean, choice, integers, number, optional_integer
from cnnrt.layer import Array, Layer, Shape, shape_text
from cnnrt_layers.axes import resolve_axes, resolve_axis

REDUCE: Mapping[str, Callable[..., Any]] = {
    "sum": np.sum,
    "mean": np.mean,
    "max": np.max,
    "min": np.min,
    "prod": np.prod,
    "l1": lambda x, **along: np.sum(np.abs(x, out=x), **along),
    "l2": lambda x, **along: np.sqrt(np.sum(np.square(x, out=x), **along)),
    "sum_square": lambda x, **along: np.sum(np.square(x, out=x), **along),
    "log_sum": lambda x, **along: np.log(np.sum(x, **along)),
    "log_sum_exp": lambda x, **along: _log_sum_exp(x, **along),
}
"""Each operation; it may overwrite the float64 values that it is given."""

NEED_VALUES = ("mean", "max", "min", "log_sum_exp")


def _log_sum_exp(x: Array, axis: tuple[int, ...], keepdims: bool) -> Array:
    top = np.max(x, axis=axis, keepdims=True)
    top = np.where(np.isfinite(top), top, 0)
    np.exp(np.subtract(x, top, out=x), out=x)
    result: Array = np.log(np.sum(x, axis=axis, keepdims=keepdims)) + (top if keepdims else np.squeeze(top, axis))
    return result


@attrs.frozen(kw_only=True)
class Reduction(Layer):
    """Sums up, or otherwise combines, all values along some axes.

    Input of any shape. Which axes: those of `axes`, or, as in Caffe, all from `axis` on; where neither is stated, all.
    They stay with length 1 if `keepdims` is true, else they are left out. The mean along [2, 3] is global average
    pooling. `log_sum_exp` subtracts the maximum first, which changes nothing but keeps the exponentials finite.
    """

    type = "Reduction"
    formula = """
        sum:          y = coeff * (x1 + x2 + ...)
        mean:         y = coeff * (x1 + x2 + ...) / count
        max, min:     y = coeff * maximum(x1, x2, ...), minimum(...)
        prod:         y = coeff * x1 * x2 * ...
        l1:           y = coeff * (|x1| + |x2| + ...)
        l2:           y = coeff * sqrt(x1 ** 2 + x2 ** 2 + ...)
        sum_square:   y = coeff * (x1 ** 2 + x2 ** 2 + ...)
        log_sum:      y = coeff * log(x1 + x2 + ...)
        log_sum_exp:  y = coeff * log(exp(x1) + exp(x2) + ...)
    """
    example = """
        layer {
          type: "Reduction"
          name: "pool"
          operation: "mean"
          axes: [2, 3]
          keepdims: true
        }
    """
    suite = "cnnrt_layers.conformance.suites:ReductionSuite"

    operation: str = choice("sum", choices={name: name for name in REDUCE}, doc="how values are combined")
    axes: tuple[int, ...] | None = integers(None, doc="axes along which they are; negative counts from the end")
    axis: int | None = optional_integer(doc="first of the axes, all behind it too: instead of axes")
    keepdims: bool = boolean(False, doc="whether the axes stay, with length 1")
    coeff: float = number(1.0, doc="factor of the result")

    def __attrs_post_init__(self) -> None:
        if self.axes is not None and self.axis is not None:
            raise KeyValueError("axis", "expected either axes or axis")

    def along(self, shape: Shape) -> tuple[int, ...]:
        """Return the axes of an input of this shape, counted from 0; ShapeError where it has no such axes."""
        if self.axes is not None:
            return resolve_axes(self.axes, shape)
        return tuple(range(0 if self.axis is None else resolve_axis(self.axis, shape), len(shape)))

    def output_shapes(self, inputs: Sequence[Shape], weights: Mapping[str, Shape]) -> tuple[Shape, ...]:
        """Return what is left of the shape."""
        (shape,) = inputs
        axes = self.along(shape)
        if self.operation in NEED_VALUES and 0 in (shape[axis] for axis in axes):
            raise ShapeError(f"there are no values along the axes {list(axes)} of the input {shape_text(shape)}")
        if self.keepdims:
            return (tuple(1 if axis in axes else size for axis, size in enumerate(shape)),)
        return (tuple(size for axis, size in enumerate(shape) if axis not in axes),)

    def flops(self, inputs: Sequence[Shape], outputs: Sequence[Shape], weights: Mapping[str, Shape]) -> int:
        """Return 1 for each value."""
        return math.prod(inputs[0])

    def reference(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        """Compute it in float64; shapes and dtypes as in `Layer.reference`."""
        (x,) = inputs
        with np.errstate(all="ignore"):
            wide = REDUCE[self.operation](x.astype(np.float64), axis=self.along(x.shape), keepdims=self.keepdims)
            result = np.asarray(wide if self.coeff == 1 else wide * self.coeff)
            return (result.astype(x.dtype, copy=False),)
