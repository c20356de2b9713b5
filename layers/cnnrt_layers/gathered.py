"""Layers that work value by value: the values at a few places, gathered, are a call of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from cnnrt.layer import Array, Layer, Part, Place


def gathered(layer: Layer, inputs: Sequence[Array], weights: Mapping[str, Array], places: Sequence[Place]) -> Part:
    """Return a call on one-dimensional inputs: the values from which those at `places` are made, in order.

    Inputs are broadcast as NumPy does it. See `Layer.parts_at`.
    """
    indices = np.array(places, np.intp).reshape(len(places), -1)

    def values(x: Array) -> Array:
        own = indices[:, indices.shape[1] - x.ndim :]
        taken: Array = x[tuple(np.where(size == 1, 0, own[:, axis]) for axis, size in enumerate(x.shape))]
        return np.broadcast_to(taken, len(places))

    pairs = tuple((place, (number,)) for number, place in enumerate(places))
    return Part(layer, tuple(values(x) for x in inputs), weights, pairs)
