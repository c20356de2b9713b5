"""Rows as images: layers of cnnrt slide windows over images, and a row of values is an image of one row."""

from __future__ import annotations

from cnnrt_import_onnx.values import Made, Operand

ROW, IMAGE = 1, 2
"""Dimensions along which windows slide."""


def as_image(value: Operand, dimensions: int) -> Operand | Made:
    """Return (N, C, L) as (N, C, 1, L); images as they are."""
    if dimensions == IMAGE:
        return value
    item = None if value.shape is None or len(value.shape) != 3 else (value.shape[1], 1, value.shape[2])
    return Made("Reshape", (value,), {"shape": (0, 0, 1, -1)}, item=item)


def from_image(layer: Made, dimensions: int) -> Made:
    """Return what `as_image` made an image of as rows again."""
    if dimensions == IMAGE:
        return layer
    item = None if layer.item is None else (layer.item[0], layer.item[2])
    return Made("Reshape", (layer,), {"shape": (0, 0, -1)}, item=item)
