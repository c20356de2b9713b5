"""A layer's weights in their parameter file, read in rows as a kernel packs them."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from cnnrt.backend import StoredWeights
from cnnrt.layer import Array, Shape
from netfile_spec.parameters.parameter_file import TensorParts


class RowsOfFile:
    """Satisfies `cnnrt.backend.StoredWeights`.

    `tensors` and `shapes` (logical) by name. `factor` and `bias`: what is folded in, or None: `factor` multiplies each
    row of the first of the weights that `names` names, ones where it is not stored, in float64 and rounded once; `bias`
    takes the place of the second.
    """

    def __init__(
        self,
        tensors: Mapping[str, TensorParts],
        shapes: Mapping[str, Shape],
        factor: Array | None = None,
        bias: Array | None = None,
        names: tuple[str, str] = ("weight", "bias"),
    ) -> None:
        self._tensors = tensors
        self._shapes = shapes
        self._factor = factor
        self._bias = bias
        self._scaled, self._shifted = names

    @property
    def shapes(self) -> Mapping[str, Shape]:
        """Shapes by name."""
        return self._shapes

    def load(self) -> dict[str, Array]:
        """Return all weights."""
        return {name: self.rows(name, 0, shape[0] if shape else 1) for name, shape in self._shapes.items()}

    def rows(self, name: str, first: int, last: int, out: Array | None = None) -> Array:
        """Return some rows, read now."""
        shape = self._shapes[name]
        row = math.prod(shape[1:])
        target = np.empty((last - first) * row, np.float32) if out is None else out[: (last - first) * row]
        result = target.reshape(last - first, *shape[1:]) if shape else target.reshape(())
        if name == self._shifted and self._bias is not None:
            result[...] = self._bias[first:last]
            return result
        if name not in self._tensors and self._factor is not None:
            result[...] = self._factor[first:last]
            return result
        self._tensors[name].read(first * row, target)
        if name == self._scaled and self._factor is not None:
            factor = self._factor[first:last].reshape(-1, *[1] * (len(shape) - 1))
            # What is infinite or not a number goes on as it would without folding. In place NumPy converts in small
            # blocks: no second copy.
            with np.errstate(all="ignore"):
                np.multiply(result, factor, out=result, casting="same_kind")
        return result

    @property
    def raw(self) -> bool:
        """Whether they are read straight from the file and nothing is multiplied into them."""
        return self._factor is None and self._bias is None and all(t.raw for t in self._tensors.values())

    def finish(self) -> None:
        """Verify what was read. Raises ParameterFileError."""
        for tensor in self._tensors.values():
            tensor.finish()


class HeldWeights:
    """Weights that are in memory already; satisfies `cnnrt.backend.StoredWeights`."""

    def __init__(self, weights: Mapping[str, Array]) -> None:
        self._weights = weights

    @property
    def shapes(self) -> Mapping[str, Shape]:
        """Shapes by name."""
        return {name: array.shape for name, array in self._weights.items()}

    def load(self) -> dict[str, Array]:
        """Return them, C-contiguous."""
        return {name: np.ascontiguousarray(array).reshape(array.shape) for name, array in self._weights.items()}

    def rows(self, name: str, first: int, last: int, out: Array | None = None) -> Array:
        """Return some rows: in place where they are C-contiguous."""
        return np.ascontiguousarray(self._weights[name][first:last], np.float32)


class SomeRows:
    """The rows from `first` to before `last` (fewer where there are not so many) of all weights of a layer.

    Satisfies `cnnrt.backend.StoredWeights`.
    """

    def __init__(self, stored: StoredWeights, first: int, last: int) -> None:
        self._stored = stored
        self._spans = {
            name: (min(first, shape[0]), min(last, shape[0])) for name, shape in stored.shapes.items() if shape
        }

    @property
    def shapes(self) -> Mapping[str, Shape]:
        """Shapes by name."""
        return {name: (last - first, *self._stored.shapes[name][1:]) for name, (first, last) in self._spans.items()}

    def load(self) -> dict[str, Array]:
        """Return all of these rows."""
        return {name: self.rows(name, 0, last - first) for name, (first, last) in self._spans.items()}

    def rows(self, name: str, first: int, last: int, out: Array | None = None) -> Array:
        """Return some of them."""
        start, _ = self._spans[name]
        return self._stored.rows(name, start + first, start + last, out)
