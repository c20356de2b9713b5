"""Concatenation without copies: who gives an input of a Concat writes it where it belongs, and nothing is left to do.

Two cases. Where what is joined lies first in memory (the channels of a plain batch of one), every input is one run of
the output. Where it lies last (channels last), an input has a run in each pixel, as far apart as the output has
channels (`TensorType.pitch`), which its kernel must be able to write (`Kernel.writes_part`). All inputs of a Concat are
written in place, or none.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import attrs
import numpy as np

from cnnrt.layouts import PERMUTATIONS, physical_shape
from cnnrt.placement import CORE, Placed
from cnnrt.tensor import TensorType


@attrs.frozen
class Part:
    """Where a value is in another one: from byte `offset` on."""

    whole: str
    offset: int


def write_in_place(
    placed: Sequence[Placed], types: Mapping[str, TensorType], kept: Collection[str], runs: Sequence[int]
) -> tuple[tuple[Placed, ...], dict[str, TensorType]]:
    """Return the placed nodes, and the types of all values, with those Concats as views that need no copies.

    Nobody else may read an input of theirs; `kept` are values that are handed in or back. `runs`: for each node the run
    of nodes that it belongs to on a device with memory of its own, -1 in the process's: only what one run writes as a
    whole can be brought out of it without what others wrote being lost.
    """
    done, types = list(placed), dict(types)
    givers = {p.node.outputs[0]: i for i, p in enumerate(placed) if p.kernel and len(p.node.outputs) == 1}
    readers = Counter([*kept, *(value for p in placed for value in p.node.inputs)])
    for index in reversed(range(len(done))):  # outer ones first: what is joined there may have been joined before
        p = done[index]
        pitch = _pitch(p, types)
        if pitch is None or any(readers[v] > 1 or v not in givers for v in p.node.inputs):
            continue
        if any(runs[givers[v]] != runs[index] for v in p.node.inputs):
            continue
        parts = {v: attrs.evolve(types[v], pitch=pitch) for v in p.node.inputs}
        written = {givers[v]: _writing(done[givers[v]], part) for v, part in parts.items()}
        if all(w.kernel and w.kernel.writes_part(w.call) for w in written.values()):
            types.update(parts)
            for i, w in written.items():
                done[i] = w
            why = "its inputs are written where they belong: nothing to compute"
            call = attrs.evolve(p.call, inputs=tuple(parts.values()))
            done[index] = attrs.evolve(p, device=CORE, kernel=None, call=call, why=why, fallback=False)
    return tuple(done), types


def parts_of_wholes(placed: Sequence[Placed], types: Mapping[str, TensorType]) -> dict[str, Part]:
    """Return where each value is that is written as a part of another one."""
    parts: dict[str, Part] = {}
    for p in reversed(placed):
        if p.kernel is not None or len(p.node.inputs) == 1:
            continue
        (value,) = p.node.outputs
        outer = parts.get(value, Part(value, 0))
        offset, axis = outer.offset, _axis_in_memory(p, types)
        for v in p.node.inputs:
            parts[v] = Part(outer.whole, offset)
            offset += math.prod(physical_shape(types[v])[axis:]) * np.dtype(types[v].dtype).itemsize
    return parts


def _pitch(p: Placed, types: Mapping[str, TensorType]) -> int | None:
    """Return the pitch that the inputs of a node would have as parts of its output; None: they cannot be such parts."""
    if p.kernel is None or len(p.node.inputs) == 1 or p.node.layer.joined_axis(p.call.input_shapes) is None:
        return None
    whole = types[p.node.outputs[0]]
    shape, axis = physical_shape(whole), _axis_in_memory(p, types)
    if math.prod(shape[:axis]) == 1 and not whole.pitch:
        return 0
    return whole.pitch or shape[-1] if axis == len(shape) - 1 else None


def _axis_in_memory(p: Placed, types: Mapping[str, TensorType]) -> int:
    axis = p.node.layer.joined_axis(p.call.input_shapes)
    assert axis is not None
    order = PERMUTATIONS.get(types[p.node.outputs[0]].layout)
    return axis if order is None else order.index(axis)


def _writing(p: Placed, part: TensorType) -> Placed:
    """Return a node that gives its value as a part."""
    return attrs.evolve(p, call=attrs.evolve(p.call, outputs=(part,)))
