"""Axes as NetFiles state them: counted from 0, or from the end when negative."""

from __future__ import annotations

from cnnrt.errors import ShapeError
from cnnrt.layer import Shape, shape_text


def resolve_axis(axis: int, shape: Shape, key: str = "axis") -> int:
    """Return `axis` counted from 0; ShapeError where a tensor of this shape has no such axis."""
    rank = len(shape)
    if not -rank <= axis < rank:
        allowed = f"{-rank} to {rank - 1}" if rank else "none, since a scalar has no axes"
        raise ShapeError(f"{key} {axis} does not exist in an input of shape {shape_text(shape)}: allowed are {allowed}")
    return axis % rank
