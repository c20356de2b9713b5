"""Resampling along one axis: which values of the input an output value is made of, and with which weights."""

from __future__ import annotations

import math
from collections.abc import Sequence

import attrs
import numpy as np

from cnnrt.layer import Array, Layer, Part, Place

COORDINATES = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric")
ROUNDINGS = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")


@attrs.frozen
class Taps:
    """For each place of the output, `count` values of the input: both arrays are (count, places)."""

    places: Array
    weights: Array

    def apply(self, x: Array, axis: int) -> Array:
        """Return the weighted sums along an axis of a float64 array, one tap after the other."""
        shape = [1] * x.ndim
        shape[axis] = -1
        result: Array = np.take(x, self.places[0], axis=axis)
        result *= self.weights[0].reshape(shape)
        for places, weights in zip(self.places[1:], self.weights[1:], strict=True):
            term = np.take(x, places, axis=axis)
            term *= weights.reshape(shape)
            result += term
        return result


def coordinates_of(size: int, places: int, scale: float, transformation: str) -> Array:
    """Return where each place of the output lies in the input, as ONNX's Resize defines the transformations."""
    x = np.arange(places, dtype=np.float64)
    match transformation:
        case "align_corners":
            ends: Array = x * (size - 1) / max(1, places - 1)
            return ends
        case "asymmetric":
            return x / scale
        case "pytorch_half_pixel" if places <= 1:
            return np.zeros(places)
        case _:
            return (x + 0.5) / scale - 0.5


def nearest_taps(size: int, coordinates: Array, rounding: str) -> Taps:
    """Return the one nearest value; `rounding` says which where two are equally near, or rounds one way always."""
    match rounding:
        case "floor":
            places = np.floor(coordinates)
        case "ceil":
            places = np.ceil(coordinates)
        case "round_prefer_ceil":
            places = np.floor(coordinates + 0.5)
        case _:
            places = np.ceil(coordinates - 0.5)
    clipped = np.clip(places.astype(np.int64), 0, size - 1)
    return Taps(clipped[np.newaxis], np.ones((1, len(coordinates))))


def linear_taps(size: int, coordinates: Array) -> Taps:
    """Return the neighbours on either side, weighted by how near they are; beyond the edges, the outermost value."""
    inside = np.clip(coordinates, 0, size - 1)
    below = np.minimum(np.floor(inside).astype(np.int64), max(0, size - 2))
    share = inside - below
    return Taps(np.stack([below, np.minimum(below + 1, size - 1)]), np.stack([1 - share, share]))


def cubic_taps(size: int, coordinates: Array, coefficient: float, exclude_outside: bool) -> Taps:
    """Return two neighbours on either side, weighted by Keys' cubic ("Cubic Convolution Interpolation", 1981, eq. 15).

    Values beyond the edges are those at the edge, or, excluded, count nothing while the others make up for it.
    """
    first = np.floor(coordinates)
    share = coordinates - first
    weights = np.stack([_keys(np.abs(share - offset), coefficient) for offset in (-1, 0, 1, 2)])
    places = np.stack([first.astype(np.int64) + offset for offset in (-1, 0, 1, 2)])
    if exclude_outside:
        weights = np.where((places >= 0) & (places < size), weights, 0)
        weights = weights / weights.sum(axis=0)
    return Taps(np.clip(places, 0, size - 1), weights)


def _keys(distance: Array, a: float) -> Array:
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = ((distance - 5) * distance + 8) * distance * a - 4 * a
    return np.where(distance <= 1, near, np.where(distance < 2, far, 0.0))


def resample(x: Array, along: Sequence[tuple[int, Taps]]) -> Array:
    """Return an array resampled along some axes, one after the other, in float64."""
    result = x.astype(np.float64)
    for axis, taps in along:
        result = taps.apply(result, axis)
    return result


def scaled_size(size: int, scale: float) -> int:
    """Return the length of an axis times a factor, rounded down; exact for sizes beyond those of a float."""
    numerator, denominator = float(scale).as_integer_ratio()
    return math.floor(size * numerator // denominator)


def channels_alone(layer: Layer, inputs: Sequence[Array], places: Sequence[Place]) -> Part:
    """Return a call on the channels of the places alone, as those of one image; see `Layer.parts_at`.

    A second input, whose size alone matters, is one value for each of its pixels.
    """
    own = list(dict.fromkeys(place[:2] for place in places))
    seen = np.stack([inputs[0][channel] for channel in own])[np.newaxis]
    sizes = tuple(np.zeros((1, 1, *x.shape[2:]), x.dtype) for x in inputs[1:])
    pairs = tuple((place, (0, own.index(place[:2]), *place[2:])) for place in places)
    return Part(layer, (seen, *sizes), {}, pairs)
