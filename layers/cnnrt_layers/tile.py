"""Tile: the whole input several times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs
import numpy as np

from cnnrt.errors import ShapeError
from cnnrt.keys import integers
from cnnrt.layer import Array, Shape, shape_text
from cnnrt_layers.rearrangement import Move, Rearrangement


@attrs.frozen(kw_only=True)
class Tile(Rearrangement):
    """Puts copies of the input one after the other along its axes (ONNX's Tile).

    Input of any shape; along its last axes the output is `repeats` times as long.
    """

    type = "Tile"
    formula = "y[..., i, ...] = x[..., i mod length, ...]"
    example = """
        layer {
          type: "Tile"
          name: "twice"
          repeats: [1, 2]
        }
    """
    suite = "cnnrt_layers.conformance.repeating:TileSuite"

    repeats: tuple[int, ...] = integers(doc="how often the input comes along each of the last axes", minimum=1)

    def output_shapes(self, inputs: Sequence[Shape], weights: Mapping[str, Shape]) -> tuple[Shape, ...]:
        """Return the lengths times the repeats."""
        (shape,) = inputs
        if len(self.repeats) > len(shape):
            raise ShapeError(
                f"{len(self.repeats)} repeats for an input of shape {shape_text(shape)}: it has fewer axes"
            )
        times = (*(1,) * (len(shape) - len(self.repeats)), *self.repeats)
        return (tuple(n * t for n, t in zip(shape, times, strict=True)),)

    def is_identity(self, inputs: Sequence[Shape]) -> bool:
        """Tell whether everything comes once."""
        return set(self.repeats) == {1}

    def moves(self, x: Array, results: Sequence[Array]) -> Sequence[Move]:
        """Return the input, broadcast: each axis of the result is taken as two, (repeats, length)."""
        shape = results[0].shape
        pairs = [n for size, whole in zip(x.shape, shape, strict=True) for n in (whole // max(1, size), size)]
        wide = results[0].reshape(pairs)
        return [(wide, np.broadcast_to(x.reshape([n for size in x.shape for n in (1, size)]), wide.shape))]
