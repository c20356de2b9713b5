"""Layers that only move values: they cost no operations and take no memory beside their results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cnnrt.layer import Layer, Shape


class Moves(Layer):
    """Base of such layers."""

    def flops(self, inputs: Sequence[Shape], outputs: Sequence[Shape], weights: Mapping[str, Shape]) -> int:
        """Return 0: values are only moved."""
        return 0

    def reference_workspace(
        self, inputs: Sequence[Shape], outputs: Sequence[Shape], weights: Mapping[str, Shape]
    ) -> int:
        """Return 0: values are copied to where they belong."""
        return 0
