"""What flows through a conversion: values between layers, weights of layers, and the layers themselves."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from cnnrt_import_onnx.tensors import Sizes, Tensor
from netfile_spec import Value as KeyValue


@attrs.frozen(eq=False)
class Flow:
    """A value that is computed: output `output` of the layer with the index `source`, or the input named `source`.

    `shape` is None where nothing is known of it. `free`: its first dimension is the batch, which may be any number and
    is None in `shape`. `failed`: it comes from a node that was a problem, so that nothing more should be said about
    what depends on it.
    """

    source: int | str
    shape: Sizes | None = None
    free: bool = True
    output: int = 0
    failed: bool = False

    @property
    def rank(self) -> int | None:
        """The number of dimensions, where it is known."""
        return None if self.shape is None else len(self.shape)


@attrs.frozen(eq=False)
class Weight:
    """A weight of a layer: its shape, how its values are made (float32, contiguous), and what tells it from others.

    `stored`: the bytes of the constant that it is made of, as far as the model holds them.
    """

    shape: tuple[int, ...]
    key: Hashable
    stored: int
    make: Callable[[], NDArray[Any]]


def weight_of(tensor: Tensor, *, axes: tuple[int, ...] | None = None, factor: float = 1.0) -> Weight:
    """Return a constant as a weight, its axes turned around or multiplied on the way; the product is rounded once."""

    def make() -> NDArray[Any]:
        values = tensor.array()
        if factor != 1:
            values = values * np.float64(factor)
        with np.errstate(over="ignore", invalid="ignore"):
            return np.ascontiguousarray(values if axes is None else values.transpose(axes), np.float32)

    shape = tensor.shape if axes is None else tuple(tensor.shape[axis] for axis in axes)
    return Weight(shape, (tensor.origin, tensor.shape, axes, factor), tensor.stored, make)


def bias_of(tensor: Tensor, outputs: int, *, factor: float = 1.0, before: Weight | None = None) -> Weight:
    """Return a constant of one or `outputs` values as a bias, added to the one `before` it."""

    def make() -> NDArray[Any]:
        values = np.broadcast_to(tensor.array().reshape(-1) * np.float64(factor), outputs)
        if before is not None:
            values = values + before.make()
        with np.errstate(over="ignore", invalid="ignore"):
            return np.ascontiguousarray(values, np.float32)

    return Weight((outputs,), (tensor.origin, outputs, factor, before and before.key), 4 * outputs, make)


@attrs.frozen(eq=False)
class Made:
    """A layer that a node became: its type, keys, inputs and weights.

    An input is a value, a constant (which becomes a layer Constant), or another layer that is put before this one.
    `item`: what is known of the output's shape beside the batch where the inputs' sizes are not all known. `outputs`:
    how many values it gives.
    """

    type: str
    inputs: tuple[Flow | Tensor | Made, ...]
    keys: Mapping[str, KeyValue] = attrs.field(factory=dict)
    weights: Mapping[str, Weight] = attrs.field(factory=dict)
    item: Sizes | None = None
    outputs: int = 1


@attrs.frozen(eq=False)
class Same:
    """A node that gives one of its inputs unchanged, or a constant that was computed here."""

    value: Flow | Tensor


@attrs.frozen(eq=False)
class Several:
    """What a node with several outputs became: one entry for each; None for those that nobody needs."""

    outputs: tuple[Made | Same | None, ...]


@attrs.frozen(eq=False)
class Biased:
    """A node that adds a constant to each channel of what the layer `layer` gives, whose bias it becomes."""

    layer: int
    made: Made


Operand = Flow | Tensor
"""What a rule gets for an input that is there."""

Inputs = tuple[Operand | None, ...]
"""What a rule gets: as many as the node may have, those left out are None."""

Outcome = Made | Same | Several | Biased | None
"""What a rule makes of a node; None: it was a problem."""
