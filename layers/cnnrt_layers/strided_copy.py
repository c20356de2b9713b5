"""What a layer that only moves values comes to: copies from and to memory with fixed distances along each axis.

The layers state their moves by views of arrays (`cnnrt_layers.rearrangement`); here they are asked for views of arrays
that lie as a call's values do, and the distances are read off. Axes along which both sides go on evenly become one.
Kernels of every backend are made from these copies.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate

import attrs
import numpy as np

from cnnrt.layer import Array
from cnnrt.layer_call import LayerCall
from cnnrt.layouts import logical_view, physical_shape
from cnnrt.tensor import TensorType

Moves = Callable[[Array, Sequence[Array]], Iterable[tuple[Array, Array | float]]]
"""See `cnnrt_layers.rearrangement.Rearrangement.moves`."""


@attrs.frozen
class Axis:
    """So many values, and the floats from one to the next in the output and in the input."""

    count: int
    target: int
    source: int


@attrs.frozen
class StridedCopy:
    """Values for one output. `target`, `source`: places of the first; `axes`: the one that is innermost there last.

    `value`: a number that goes to all places, instead of the input's values.
    """

    output: int
    target: int
    source: int
    axes: tuple[Axis, ...]
    value: float | None = None

    @property
    def size(self) -> int:
        """How many values there are."""
        return math.prod(axis.count for axis in self.axes)


def strided_copies(call: LayerCall, moves: Moves) -> list[StridedCopy]:
    """Return the copies that make up a call."""
    sizes = [math.prod(t.shape) for t in call.outputs]
    starts = [0, *accumulate(sizes)]
    (x,) = shadows(call.inputs[:1])
    results = shadows(call.outputs)
    copies = []
    for target, source in moves(x, results):
        if target.size:
            place = _distance(target, results[0])
            output = bisect.bisect_right(starts, place) - 1
            number = source if isinstance(source, float) else None
            first, strides = (
                (0, (0,) * target.ndim) if isinstance(source, float) else (_distance(source, x), source.strides)
            )
            axes = [Axis(n, t // 4, s // 4) for n, t, s in zip(target.shape, target.strides, strides, strict=True)]
            copies.append(StridedCopy(output, place - starts[output], first, _joined(axes), number))
    return copies


def shadows(tensors: Sequence[TensorType]) -> list[Array]:
    """Return arrays with the strides of tensors in their layouts, one behind the other; no memory is behind them."""
    sizes = [math.prod(t.shape) for t in tensors]
    whole = np.lib.stride_tricks.as_strided(np.empty(1, np.float32), (max(1, sum(sizes)),), (4,))
    starts = [0, *accumulate(sizes)]
    flat = [whole[start : start + size] for start, size in zip(starts, sizes, strict=False)]
    return [logical_view(x.reshape(physical_shape(t)), t) for x, t in zip(flat, tensors, strict=True)]


def _distance(view: Array, first: Array) -> int:
    """Return the floats from the first value of one view to that of another."""
    address: int = view.__array_interface__["data"][0]
    return (address - int(first.__array_interface__["data"][0])) // 4


def _joined(axes: Sequence[Axis]) -> tuple[Axis, ...]:
    """Return the axes in the order of the output, neighbours made one where both sides go on evenly."""
    joined = joined_axes([(a.count, a.target, a.source) for a in axes])
    return tuple(Axis(*axis) for axis in joined) or (Axis(1, 1, 1),)


def joined_axes(axes: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """Return axes, (values, steps in each of some arrays), in the order of the first array.

    Neighbours along which all arrays go on evenly become one; axes of one value are left out.
    """
    joined: list[tuple[int, ...]] = []
    for count, *steps in sorted((a for a in axes if a[0] != 1), key=lambda a: -a[1]):
        if joined and list(joined[-1][1:]) == [count * step for step in steps]:
            joined[-1] = (joined[-1][0] * count, *steps)
        else:
            joined.append((count, *steps))
    return joined
