"""Mean 0 and variance 1 along some axes: what InstanceNorm, GroupNorm, LayerNorm and MVN share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from cnnrt.errors import ShapeError
from cnnrt.layer import Array, Shape, shape_text


def standardised(x: Array, axes: tuple[int, ...], epsilon: float) -> Array:
    """Return (x - mean) / sqrt(variance + epsilon) along the axes, in float64.

    The variance is the mean of the squared differences, by the number of values.
    """
    with np.errstate(all="ignore"):
        result = x.astype(np.float64)
        result -= result.mean(axis=axes, keepdims=True)
        variance = np.square(result).mean(axis=axes, keepdims=True)
        result /= np.sqrt(variance + epsilon)
    return result


def scaled_and_shifted(normal: Array, weights: Mapping[str, Array], shape: Shape) -> Array:
    """Multiply by `scale` and add `bias`, each where there is one, laid out as `shape`, which fits `normal`."""
    with np.errstate(all="ignore"):
        if "scale" in weights:
            normal *= weights["scale"].reshape(shape)
        if "bias" in weights:
            normal += weights["bias"].reshape(shape)
    return normal


def expect_channels(shape: Shape, weights: Mapping[str, Shape], rank: int = 3) -> None:
    """Raise ShapeError unless the input has channels, values to normalise, and weights of one value a channel."""
    if len(shape) < rank:
        names = ", ".join(("images", "channels", "places")[:rank])
        raise ShapeError(f"expected input of shape ({names}, ...), got {shape_text(shape)}")
    expect_values(shape, shape[2:])
    for name, stored in weights.items():
        if stored != shape[1:2]:
            raise ShapeError(
                f"the input has {shape[1]} channels: expected as many values of {name}, got {shape_text(stored)}"
            )


def expect_values(shape: Shape, sizes: Sequence[int]) -> None:
    """Raise ShapeError where one of the sizes to normalise over is 0."""
    if 0 in sizes:
        raise ShapeError(f"the input {shape_text(shape)} has no values to normalise")
