"""What flows through a conversion: values between layers, weights of layers, and the layers themselves."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from cnnrt_import_onnx.tensors import Tensor
from netfile_spec import Value as KeyValue

Item = tuple[int | None, ...]
"""A shape without its batch dimension; None stands for a size that the model does not state."""


@attrs.frozen(eq=False)
class Flow:
    """A value that is computed: the index of the layer that gives it, or the name of an input, and its item's shape.

    `item` is None where nothing is known of it. `failed`: it comes from a node that was a problem, so that nothing more
    should be said about what depends on it.
    """

    source: int | str
    item: Item | None = None
    failed: bool = False

    @property
    def sizes(self) -> tuple[int, ...] | None:
        """The item's shape where all of it is known."""
        if self.item is None or None in self.item:
            return None
        return tuple(n for n in self.item if n is not None)


@attrs.frozen(eq=False)
class Weight:
    """A weight of a layer: its shape, how its values are made (float32, contiguous), and what tells it from others."""

    shape: tuple[int, ...]
    key: Hashable
    make: Callable[[], NDArray[Any]]


def weight_of(tensor: Tensor, *, transpose: bool = False, factor: float = 1.0) -> Weight:
    """Return a constant as a weight, turned around or multiplied on the way; the product is rounded once."""

    def make() -> NDArray[Any]:
        values = tensor.array()
        if factor != 1:
            values = values * np.float64(factor)
        with np.errstate(over="ignore"):
            return np.ascontiguousarray(values.T if transpose else values, np.float32)

    shape = tensor.shape[::-1] if transpose else tensor.shape
    return Weight(shape, (tensor.origin, tensor.shape, transpose, factor), make)


def bias_of(tensor: Tensor, outputs: int, *, factor: float = 1.0, before: Weight | None = None) -> Weight:
    """Return a constant of one or `outputs` values as a bias, added to the one `before` it."""

    def make() -> NDArray[Any]:
        values = np.broadcast_to(tensor.array().reshape(-1) * np.float64(factor), outputs)
        if before is not None:
            values = values + before.make()
        with np.errstate(over="ignore"):
            return np.ascontiguousarray(values, np.float32)

    return Weight((outputs,), (tensor.origin, outputs, factor, before and before.key), make)


class LayerWeights(Mapping[str, NDArray[Any]]):
    """The weights of one layer by name; each look-up makes the array anew, so only one is in memory at a time."""

    def __init__(self, weights: Mapping[str, Weight]) -> None:
        self._weights = weights

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self._weights[name].make()

    def __iter__(self) -> Iterator[str]:
        return iter(self._weights)

    def __len__(self) -> int:
        return len(self._weights)


@attrs.frozen(eq=False)
class Made:
    """A layer that a node became: its type, keys, inputs and weights.

    `item`: what is known of the output's shape where the inputs' sizes are not all known.
    """

    type: str
    inputs: tuple[Flow, ...]
    keys: Mapping[str, KeyValue] = attrs.field(factory=dict)
    weights: Mapping[str, Weight] = attrs.field(factory=dict)
    item: Item | None = None


@attrs.frozen(eq=False)
class Same:
    """A node that gives one of its inputs unchanged."""

    value: Flow | Tensor


@attrs.frozen(eq=False)
class Biased:
    """A node that adds a constant to each channel of what the layer `layer` gives, whose bias it becomes."""

    layer: int
    made: Made


Outcome = Made | Same | Biased | None
"""What a rule makes of a node; None: it was a problem."""
