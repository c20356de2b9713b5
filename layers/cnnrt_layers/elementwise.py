"""Layers that compute each value of the output from the value at the same place of the input."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence

import numpy as np

from cnnrt.layer import Array, Layer, Part, Place, Shape
from cnnrt_layers.gathered import gathered


class Elementwise(Layer):
    """Base of such layers: one input of any shape, one output of the same shape, no weights.

    A subclass states the computation in `apply`.
    """

    def output_shapes(self, inputs: Sequence[Shape], weights: Mapping[str, Shape]) -> tuple[Shape, ...]:
        """Return the shape of the input."""
        return (inputs[0],)

    def itemwise(self, inputs: Sequence[Shape]) -> bool:
        """Return True: every value by itself."""
        return True

    @abc.abstractmethod
    def apply(self, x: Array) -> Array:
        """Return the result for each value of `x`, which is float64 and may be written to; at most two more arrays."""

    def reference(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        """Compute it value by value in float64; shapes and dtypes as in `Layer.reference`."""
        (x,) = inputs
        with np.errstate(all="ignore"):  # what is infinite or not a number is a result like any other
            return (np.asarray(self.apply(x.astype(np.float64))).astype(x.dtype, copy=False),)

    def parts_at(
        self, inputs: Sequence[Array], weights: Mapping[str, Array], places: Sequence[Place], output: int = 0
    ) -> Sequence[Part]:
        """Return the values at these places."""
        return [gathered(self, inputs, weights, places)]
