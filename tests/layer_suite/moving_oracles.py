"""Layers that move values once more: by ONNX's reference evaluator, or value by value."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cnnrt.layer import Array
from layer_suite.onnx_evaluator import onnx_node

Weights = Mapping[str, Array]


def constant(layer: Any, inputs: Sequence[Array], weights: Weights) -> Array:
    items = len(inputs[0])
    return np.stack([weights["value"]] * items) if items else np.zeros((0, *weights["value"].shape))


def crop(layer: Any, inputs: Sequence[Array], weights: Weights) -> Array:
    whole, size = inputs
    axis = layer.axis % whole.ndim
    for number, place in enumerate(range(axis, whole.ndim)):
        first = layer.offset[number if len(layer.offset) > 1 else 0]
        whole = whole.take(range(first, first + size.shape[place]), axis=place)
    return whole


def pad(layer: Any, inputs: Sequence[Array], weights: Weights) -> Array:
    """Each value by the place that it comes from."""
    (x,) = inputs
    axes = layer.axes or range(x.ndim - len(layer.before), x.ndim)
    for axis, before, after in zip(axes, layer.before, layer.after, strict=True):
        size = x.shape[axis]
        places = [_source(layer.mode, i, size) for i in range(-before, size + after)]
        filled = x.take([p or 0 for p in places], axis=axis)
        missing = [number for number, p in enumerate(places) if p is None]
        np.moveaxis(filled, axis, 0)[missing] = layer.value
        x = filled
    return x


def _source(mode: str, place: int, size: int) -> int | None:
    if 0 <= place < size:
        return place
    match mode:
        case "edge":
            return 0 if place < 0 else size - 1
        case "wrap":
            return place % size
        case "reflect":
            return -place if place < 0 else 2 * (size - 1) - place
        case "symmetric":
            return -place - 1 if place < 0 else 2 * size - 1 - place
        case _:
            return None


def permute(layer: Any, inputs: Sequence[Array], weights: Weights) -> Array:
    rest = [axis for axis in range(inputs[0].ndim) if axis not in layer.order]
    return onnx_node("Transpose", inputs, perm=[*layer.order, *rest])


def reshape(layer: Any, inputs: Sequence[Array], weights: Weights) -> Array:
    """NumPy's, on the axes that are replaced; -1 in an empty batch is what it is in a batch of one."""
    (x,) = inputs
    first = layer.axis if layer.axis >= 0 else x.ndim + 1 + layer.axis
    last = x.ndim if layer.num_axes == -1 else first + layer.num_axes
    whole = np.zeros([max(1, size) for size in x.shape])
    new = [whole.shape[place] if size == 0 else size for place, size in enumerate(layer.shape, start=first)]
    shape = list(whole.reshape(*whole.shape[:first], *new, *whole.shape[last:]).shape)
    for place, size in enumerate(layer.shape, start=first):
        if size == 0:
            shape[place] = x.shape[place]
    shape[:first] = x.shape[:first]
    if last < x.ndim:
        shape[last - x.ndim :] = x.shape[last:]
    return x.reshape(shape)


def slices(layer: Any, inputs: Sequence[Array], weights: Weights) -> tuple[Array, ...]:
    (x,) = inputs
    length = x.shape[layer.axis]
    if layer.parts:
        step = math.ceil(length / layer.parts)
        points = [step * number for number in range(1, layer.parts)]
    else:
        points = list(layer.slice_point)
    return tuple(np.split(x, points, axis=layer.axis))


def split(layer: Any, inputs: Sequence[Array], weights: Weights) -> tuple[Array, ...]:
    return tuple(itertools.repeat(inputs[0], layer.copies))


def strided_slice(layer: Any, inputs: Sequence[Array], weights: Weights) -> Array:
    names = ("starts", "ends", "axes", "steps")
    stated = [getattr(layer, name) or [1] * len(layer.axes) for name in names]
    return onnx_node("Slice", [inputs[0], *(np.array(values, np.int64) for values in stated)])


MOVING = {
    "constant": constant,
    "crop": crop,
    "pad": pad,
    "permute": permute,
    "reshape": reshape,
    "slice": slices,
    "split": split,
    "stridedslice": strided_slice,
}
