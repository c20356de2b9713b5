"""One layer at work: a layer with the types of what goes in and out, and what was folded into it.

This is all that a kernel gets to know; names and neighbours stay with the graph.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs
from attrs import field

from cnnrt.layer import Array, Cost, Layer, Shape
from cnnrt.tensor import TensorType


@attrs.frozen
class LayerCall:
    """`layer` applied to `inputs` and `weights`, then `folded` (element-wise layers, in order), giving `outputs`."""

    layer: Layer
    inputs: tuple[TensorType, ...]
    outputs: tuple[TensorType, ...]
    weights: Mapping[str, TensorType] = field(factory=dict)
    folded: tuple[Layer, ...] = ()

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        """Logical shapes of the inputs."""
        return tuple(t.shape for t in self.inputs)

    @property
    def output_shapes(self) -> tuple[Shape, ...]:
        """Logical shapes of the outputs."""
        return tuple(t.shape for t in self.outputs)

    @property
    def weight_shapes(self) -> dict[str, Shape]:
        """Logical shapes of the weights by name."""
        return {name: t.shape for name, t in self.weights.items()}

    @property
    def cost(self) -> Cost:
        """Operations and bytes of the layer; what is folded into it adds no bytes."""
        own = self.layer.cost(self.input_shapes, self.output_shapes, self.weight_shapes)
        extra = sum(f.flops(self.output_shapes, self.output_shapes, {}) for f in self.folded)
        return Cost(own.flops + extra, own.bytes)

    def reference(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        """Compute the layer and what is folded into it by their references; shapes and dtypes as there."""
        results = self.layer.reference(inputs, weights)
        for layer in self.folded:
            results = tuple(layer.reference([r], {})[0] for r in results)
        return results
