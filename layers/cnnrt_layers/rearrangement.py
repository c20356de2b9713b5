"""Layers whose results are the input's values at other places: which go where, stated by views of arrays."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence

import numpy as np

from cnnrt.layer import Array
from cnnrt_layers.moves import Moves

Move = tuple[Array, Array | float]
"""A view of a result, and what is copied there: a view of the first input, equally large, or one number."""


class Rearrangement(Moves):
    """Base of such layers. A subclass states the moves; its reference, and kernels of any backend, follow from them."""

    @abc.abstractmethod
    def moves(self, x: Array, results: Sequence[Array]) -> Sequence[Move]:
        """Return what is copied to where in the results; together all of it, nothing twice.

        `x` is the first input. Axes are in logical order, strides are any: only views may be made, which hold for all
        arrays of these shapes and strides, and no value may be looked at.
        """

    def reference(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        """Copy the values; shapes and dtypes as in `Layer.reference`."""
        shapes = self.output_shapes([x.shape for x in inputs], {})
        results = tuple(np.empty(shape, inputs[0].dtype) for shape in shapes)
        for target, source in self.moves(inputs[0], results):
            np.copyto(target, source, casting="same_kind")
        return results

    def error_bound(
        self, inputs: Sequence[Array], weights: Mapping[str, Array], exact: Sequence[Array]
    ) -> tuple[Array, ...]:
        """Return 0: values only move."""
        return tuple(np.zeros_like(value) for value in exact)


def split_axis(x: Array, axis: int, *sizes: int) -> Array:
    """Return a view in which several axes, whose sizes multiply to that of `axis`, stand for it."""
    return x.reshape((*x.shape[:axis], *sizes, *x.shape[axis + 1 :]))
