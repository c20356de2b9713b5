"""ArgMax: where the largest values are."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import attrs
import numpy as np

from cnnrt.errors import KeyValueError, ShapeError
from cnnrt.keys import boolean, integer, optional_integer
from cnnrt.layer import Array, Layer, Shape, shape_text
from cnnrt_layers.axes import resolve_axis


@attrs.frozen(kw_only=True)
class ArgMax(Layer):
    """Gives the places of the `top_k` largest values along an axis, the largest first, or these values.

    Input of any shape. Places are numbers like all others, so that 3.0 is the fourth. Of equal values the first counts
    as larger, with `select_last` the last one. As in Caffe, without an axis each item is taken as one list: the output
    is (N, 1, top_k), or with `out_max_val` (N, 2, top_k), places above values; that of images has a further axis of
    length 1. With an axis, `out_max_val` gives values instead of places, and `keepdims: false` leaves out the axis of a
    single place.
    """

    type = "ArgMax"
    formula = "y[..., k, ...] = the place of the k-th largest of x[..., :, ...]"
    example = """
        layer {
          type: "ArgMax"
          name: "class"
          axis: 1
        }
    """
    suite = "cnnrt_layers.conformance.suites:ArgMaxSuite"

    axis: int | None = optional_integer(doc="axis along which values are compared; absent: all values of an item")
    top_k: int = integer(1, doc="how many places are given", minimum=1)
    out_max_val: bool = boolean(False, doc="give values: instead of places, without an axis beside them")
    select_last: bool = boolean(False, doc="of equal values, prefer the last one")
    smallest: bool = boolean(False, doc="look for the smallest values instead")
    keepdims: bool = boolean(True, doc="whether the axis stays where top_k is 1")

    def __attrs_post_init__(self) -> None:
        if not self.keepdims and (self.top_k > 1 or self.axis is None):
            raise KeyValueError("keepdims", "an axis can only be left out where it is stated and top_k is 1")

    def output_shapes(self, inputs: Sequence[Shape], weights: Mapping[str, Shape]) -> tuple[Shape, ...]:
        """Return the shape with top_k in place of the axis, or that of lists for each item."""
        (shape,) = inputs
        if self.axis is None:
            if not shape:
                raise ShapeError("expected an input with a batch dimension, got a scalar")
            self._expect(math.prod(shape[1:]), shape)
            return ((shape[0], 2 if self.out_max_val else 1, self.top_k, *(1,) * (len(shape) - 3)),)
        axis = resolve_axis(self.axis, shape)
        self._expect(shape[axis], shape)
        return ((*shape[:axis], *((self.top_k,) if self.keepdims else ()), *shape[axis + 1 :]),)

    def _expect(self, count: int, shape: Shape) -> None:
        if count < self.top_k:
            raise ShapeError(f"expected at least {self.top_k} values to compare in {shape_text(shape)}, got {count}")

    def flops(self, inputs: Sequence[Shape], outputs: Sequence[Shape], weights: Mapping[str, Shape]) -> int:
        """Return 1 for each value: a comparison."""
        return math.prod(inputs[0])

    def reference_workspace(
        self, inputs: Sequence[Shape], outputs: Sequence[Shape], weights: Mapping[str, Shape]
    ) -> int:
        """Return the bytes of the values to sort, their order, and what sorting takes."""
        return 32 * math.prod(inputs[0]) + 16 * math.prod(outputs[0])

    def reference(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        """Sort, with equal values in the wanted order; shapes and dtypes as in `Layer.reference`."""
        (x,) = inputs
        if self.axis is None:
            lists, axis = x.reshape(len(x), math.prod(x.shape[1:])), 1
        else:
            lists, axis = x, resolve_axis(self.axis, x.shape)
        length = lists.shape[axis]
        keys = lists if self.smallest else -lists
        if self.select_last:
            order = length - 1 - np.argsort(np.flip(keys, axis), axis=axis, kind="stable")
        else:
            order = np.argsort(keys, axis=axis, kind="stable")
        places = np.take(order, range(self.top_k), axis=axis)
        values = np.take_along_axis(lists, places, axis)
        if self.axis is None:
            rows = [places, values] if self.out_max_val else [places]
            (shape,) = self.output_shapes([x.shape], {})
            return (np.stack(rows, axis=1).astype(x.dtype).reshape(shape),)
        result = (values if self.out_max_val else places).astype(x.dtype)
        return (result if self.keepdims else np.squeeze(result, axis),)
