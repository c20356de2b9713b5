"""The parts of an ONNX model as they are made: nodes, constants and names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from cnnrt.exporter import ExportedNetwork
from cnnrt.graph import Node
from cnnrt.layer import Array, Shape

OPSET = 21
IR_VERSION = 10
"""Opset 21 is the first whose GroupNormalization has factors for channels; it came with IR version 10 in 2024."""


class NotExpressible(Exception):
    """A layer that ONNX has no form for; the text says what of it."""


@attrs.define(eq=False)
class ModelBuilder:
    """Collects nodes and constants; `network` answers for shapes."""

    network: ExportedNetwork
    nodes: list[Any] = attrs.field(factory=list)
    constants: list[Any] = attrs.field(factory=list)
    _taken: set[str] = attrs.field(factory=set)

    def __attrs_post_init__(self) -> None:
        self._taken.update(self.network.graph.values)

    def fresh(self, wanted: str) -> str:
        """Return `wanted`, with a number behind it where another value is called so."""
        name, number = wanted, 1
        while name in self._taken:
            number += 1
            name = f"{wanted}_{number}"
        self._taken.add(name)
        return name

    def constant(self, wanted: str, values: NDArray[Any] | Sequence[int]) -> str:
        """Add a constant (a list of integers is int64) and return its name."""
        from onnx import numpy_helper

        array = np.asarray(values, np.int64) if isinstance(values, list | tuple) else np.asarray(values)
        name = self.fresh(wanted)
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name))
        return name


@attrs.define(eq=False)
class LayerWriter:
    """One layer as a rule writes it: its inputs, its weights, and where its outputs go."""

    builder: ModelBuilder
    node: Node

    @property
    def layer(self) -> Any:
        """The layer, whose keys a rule of its type knows."""
        return self.node.layer

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the inputs."""
        return self.node.inputs

    def shape(self, index: int = 0) -> Shape:
        """Return the shape of an input for one item."""
        return self.builder.network.shape(self.node.inputs[index])

    def output_shape(self) -> Shape:
        """Return the shape of the first output for one item."""
        return self.builder.network.shape(self.node.outputs[0])

    def weights(self) -> Mapping[str, Array]:
        """Return the weights."""
        return self.builder.network.weights(self.node)

    def constant(self, name: str, values: NDArray[Any] | Sequence[int]) -> str:
        """Add a constant of this layer."""
        return self.builder.constant(f"{self.node.name}.{name}", values)

    def number(self, name: str, value: float) -> str:
        """Add a single float32."""
        return self.constant(name, np.array(value, np.float32))

    def step(self, op: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Add a node whose value goes to another node of this layer, and return the value's name."""
        name = self.builder.fresh(f"{self.node.name}.{op.lower()}")
        self._add(op, inputs, [name], name, attributes)
        return name

    def last(self, op: str, inputs: Sequence[str], **attributes: Any) -> None:
        """Add the node that gives the layer's outputs."""
        self._add(op, inputs, self.node.outputs, self.node.name, attributes)

    def reshaped(self, value: str, shape: Sequence[int], name: str = "shape") -> str:
        """Add a Reshape and return its value; -1 and 0 mean what they mean in ONNX."""
        return self.step("Reshape", [value, self.constant(name, list(shape))])

    def flexible(self, value: str) -> list[int]:
        """Return a value's shape with -1 for the one dimension that depends on the batch."""
        network = self.builder.network
        varies = network.varies(value)
        if sum(varies) > 1:
            raise NotExpressible("a shape in which two dimensions depend on the batch")
        return [-1 if v else n for n, v in zip(network.shape(value), varies, strict=True)]

    def _add(
        self, op: str, inputs: Sequence[str], outputs: Sequence[str], name: str, attributes: dict[str, Any]
    ) -> None:
        from onnx import helper

        stated = {key: value for key, value in attributes.items() if value is not None}
        self.builder.nodes.append(helper.make_node(op, list(inputs), list(outputs), name=name, **stated))
