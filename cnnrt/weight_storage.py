"""In which type weights are kept in memory: float32, or float16, where kernels read them in half of the bytes.

All arithmetic stays in float32, and so do the values between layers. What is kept in float16 are weights of two axes
and more, matrices and filters; vectors (biases, factors, statistics, slopes) are few, and an error of theirs would be
in every value of a channel.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import attrs
import numpy as np

from cnnrt.backend import StoredWeights
from cnnrt.errors import ParameterFileError
from cnnrt.layer import Array, Shape
from cnnrt.layer_call import LayerCall

WeightStorage = Literal["float32", "float16"]
DEFAULT: WeightStorage = "float32"
BLOCK = 1 << 16
"""Values that are read in float32 before they are rounded, about."""
LARGEST_HALF = float(np.finfo(np.float16).max)
"""The largest number of float16 (IEEE 754 binary16), 65504."""


def storing_weights(call: LayerCall, dtype: str) -> LayerCall:
    """Return the call with its weights of two axes and more kept in a type; unchanged where there are none."""
    weights = {name: attrs.evolve(t, dtype=dtype) if len(t.shape) > 1 else t for name, t in call.weights.items()}
    return attrs.evolve(call, weights=weights)


def kept_type(call: LayerCall) -> str:
    """Return the type that a call's weights of two axes and more are kept in; empty: it has none."""
    return next((t.dtype for t in call.weights.values() if len(t.shape) > 1), "")


def rounded_weights(call: LayerCall, weights: Mapping[str, Array]) -> dict[str, Array]:
    """Return float32 weights as the call keeps them: each rounded to its type, to the nearest, ties to even.

    Kernels are held to the reference on these: rounding is no error of theirs, and their bounds stay those of float32.
    """
    return {name: _rounded(w, call.weights[name].dtype) for name, w in weights.items()}


def reading_bytes(call: LayerCall) -> int:
    """Return the bytes that a call's weights take as `fitting` reads them: each in its type, and a block of rows."""
    halved = [t.shape for t in call.weights.values() if t.dtype != DEFAULT]
    blocks = (4 * _rows_together(shape) * math.prod(shape[1:]) for shape in halved)
    return sum(t.nbytes for t in call.weights.values()) + max(blocks, default=0)


def fitting(call: LayerCall, stored: StoredWeights, file: str) -> StoredWeights:
    """Return weights that raise ParameterFileError, when they are read, where one is beyond the type it is kept in."""
    kept = [name for name, t in call.weights.items() if t.dtype == "float16"]
    return FittingWeights(stored, frozenset(kept), file) if kept else stored


def _rows_together(shape: Shape) -> int:
    """Return how many rows are read before they are rounded."""
    return max(1, min(shape[0], BLOCK // max(1, math.prod(shape[1:]))))


def _rounded(array: Array, dtype: str) -> Array:
    return array if dtype == DEFAULT else array.astype(dtype).astype(np.float32)


class FittingWeights:
    """Weights of which some have to fit float16; satisfies `cnnrt.backend.StoredWeights`."""

    def __init__(self, stored: StoredWeights, names: frozenset[str], file: str) -> None:
        self._stored, self._names, self._file = stored, names, file

    @property
    def shapes(self) -> Mapping[str, Shape]:
        """Shapes by name."""
        return self._stored.shapes

    def load(self) -> dict[str, Array]:
        """Return all weights, those that are kept in float16 already in it: never all of them in float32 too."""
        return {name: self._halved(name) if name in self._names else self._whole(name) for name in self.shapes}

    def rows(self, name: str, first: int, last: int, out: Array | None = None) -> Array:
        """Return some rows."""
        return self._checked(name, self._stored.rows(name, first, last, out))

    def _whole(self, name: str) -> Array:
        shape = self.shapes[name]
        return self._stored.rows(name, 0, shape[0] if shape else 1)

    def _halved(self, name: str) -> Array:
        shape = self.shapes[name]
        halves = np.empty(shape, np.float16)
        count = _rows_together(shape)
        block = np.empty(count * math.prod(shape[1:]), np.float32)
        for first in range(0, shape[0], count):
            last = min(first + count, shape[0])
            halves[first:last] = self.rows(name, first, last, block)
        return halves

    def _checked(self, name: str, array: Array) -> Array:
        if name in self._names and array.size:
            largest = max(float(array.max()), -float(array.min()))
            if largest > LARGEST_HALF:
                raise ParameterFileError(
                    f"{self._file}: {name} holds values up to {largest:.6g} in magnitude, and float16 ends at "
                    f'{LARGEST_HALF:.0f}: leave weight_storage at "float32"'
                )
        return array
