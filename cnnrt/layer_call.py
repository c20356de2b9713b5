"""One layer at work: a layer with the types of what goes in and out, and what was folded into it.

This is all that a kernel gets to know; names and neighbours stay with the graph.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Self, TypeVar

import attrs
from attrs import field

from cnnrt.layer import Array, Cost, Layer, Shape
from cnnrt.tensor import TensorType

T = TypeVar("T")


@attrs.frozen
class LayerCall:
    """`layer` applied to `inputs` and `weights`, then `folded` (element-wise layers, in order), giving `outputs`.

    A sum among what is folded in takes the value on the way and one input more: those come behind the layer's own.
    """

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
        """Operations and bytes of the layer; what is folded into it adds the bytes of what it reads beside."""
        own = self.layer.cost(self.own(self.input_shapes), self.output_shapes, self.weight_shapes)
        extra = sum(f.flops(self.output_shapes, self.output_shapes, {}) for f in self.folded)
        further = self.inputs[len(self.own(self.inputs)) :]
        return Cost(own.flops + extra, own.bytes + sum(t.nbytes for t in further))

    @property
    def loaded_bytes(self) -> int:
        """Bytes of the weights as they are read: in float32, whatever type they are kept in."""
        return 4 * sum(math.prod(t.shape) for t in self.weights.values())

    def own(self, inputs: Sequence[T]) -> Sequence[T]:
        """Return those of the inputs, or of what stands for them, that the layer itself takes."""
        return inputs[: len(inputs) - sum(map(self._is_sum, self.folded))]

    def folded_with(self, inputs: Sequence[T]) -> list[tuple[Layer, Sequence[T]]]:
        """Return each folded layer with those of the inputs that it takes behind the value on the way."""
        further = iter(inputs[len(self.own(inputs)) :])
        return [(layer, (next(further),) if self._is_sum(layer) else ()) for layer in self.folded]

    def in_layouts(self, takes: str, gives: str) -> Self:
        """Return the call with its own inputs in one layout, and its outputs and what is added to them in another."""
        own = len(self.own(self.inputs))
        layouts = [takes] * own + [gives] * (len(self.inputs) - own)
        return attrs.evolve(
            self,
            inputs=tuple(attrs.evolve(t, layout=layout) for t, layout in zip(self.inputs, layouts, strict=True)),
            outputs=tuple(attrs.evolve(t, layout=gives) for t in self.outputs),
        )

    def reference(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        """Compute the layer and what is folded into it by their references; shapes and dtypes as there."""
        results = self.layer.reference(self.own(inputs), weights)
        for layer, further in self.folded_with(inputs):
            results = tuple(layer.reference([r, *further], {})[0] for r in results)
        return results

    def _is_sum(self, layer: Layer) -> bool:
        return layer.is_sum([self.outputs[0].shape] * 2)
