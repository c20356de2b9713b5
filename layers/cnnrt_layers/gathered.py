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


def gathered_channels(
    layer: Layer, inputs: Sequence[Array], weights: Mapping[str, Array], places: Sequence[Place]
) -> Part:
    """Return a call on one item of as many channels as there are places: each value, with its channel's weights.

    For layers whose weights are one number for each channel (axis 1), or one for all. See `Layer.parts_at`.
    """
    (x,) = inputs
    channels = [place[1] for place in places]
    values = np.array([[x[place] for place in places]], x.dtype)
    taken = {name: np.broadcast_to(w, x.shape[1:2])[channels] for name, w in weights.items()}
    pairs = tuple((place, (0, number)) for number, place in enumerate(places))
    return Part(layer, (values,), taken, pairs)
