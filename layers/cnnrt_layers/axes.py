"""Axes as NetFiles state them: counted from 0, or from the end when negative."""

from __future__ import annotations

from collections.abc import Sequence

from cnnrt.errors import ShapeError
from cnnrt.layer import Shape, shape_text


def resolve_axis(axis: int, shape: Shape, key: str = "axis") -> int:
    """Return `axis` counted from 0; ShapeError where a tensor of this shape has no such axis."""
    rank = len(shape)
    if not -rank <= axis < rank:
        allowed = f"{-rank} to {rank - 1}" if rank else "none, since a scalar has no axes"
        raise ShapeError(f"{key} {axis} does not exist in an input of shape {shape_text(shape)}: allowed are {allowed}")
    return axis % rank


def resolve_axes(axes: Sequence[int], shape: Shape, key: str = "axes:") -> tuple[int, ...]:
    """Return several axes counted from 0; ShapeError where a tensor of this shape lacks one, or one is named twice."""
    found = tuple(resolve_axis(axis, shape, key) for axis in axes)
    if len(set(found)) < len(found):
        raise ShapeError(f"axes {list(axes)} name an axis of the input {shape_text(shape)} twice")
    return found
