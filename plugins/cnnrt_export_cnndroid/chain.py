"""The layers of a network one behind the other, with the weights that CNNdroid would store."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import numpy as np

from cnnrt.errors import Problem
from cnnrt.exporter import ExportedNetwork
from cnnrt.graph import Node
from cnnrt.layer import Array

_WEIGHED = ("Convolution", "FullyConnected")


@attrs.define(eq=False)
class Link:
    """A layer of the chain, and the affine layers behind it that become a part of its weights."""

    node: Node
    affine: list[Node] = attrs.field(factory=list)

    def weights(self, network: ExportedNetwork) -> dict[str, Callable[[], Array]]:
        """Return how to read weight and bias (zeros where there is none), with what is folded in, float32."""

        def read() -> tuple[Array, Array]:
            stored = network.weights(self.node)
            weight = stored["weight"].astype(np.float64)
            bias = stored.get("bias", np.zeros(len(weight))).astype(np.float64)
            for node in self.affine:
                factor, offset = node.layer.affine_terms(network.weights(node))
                weight *= factor.reshape(-1, *[1] * (weight.ndim - 1))
                bias = factor * bias + offset
            return weight.astype(np.float32), bias.astype(np.float32)

        return {"weight": lambda: read()[0], "bias": lambda: read()[1]}


def chain_of(network: ExportedNetwork) -> tuple[list[Link], list[Problem]]:
    """Return the layers in order, without those that CNNdroid does not need, and what keeps it from being a chain."""
    graph = network.graph
    links: list[Link] = []
    problems: list[Problem] = []
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        problems.append(
            Problem(f"{len(graph.inputs)} inputs and {len(graph.outputs)} outputs", expected="one of each: a chain")
        )
    value = graph.inputs[0].name if graph.inputs else ""
    for number, node in enumerate(graph.nodes):
        if node.inputs != (value,) or len(node.outputs) != 1:
            message = f"{node.title} does not take just what the layer before gives"
            problems.append(Problem(message, node.position, expected="a chain of layers: CNNdroid knows no graphs"))
        value = node.outputs[0] if node.outputs else value
        behind = graph.nodes[number + 1] if number + 1 < len(graph.nodes) else None
        if node.layer.is_identity([network.shape(i) for i in node.inputs]):
            continue
        if node.layer.type == "Flatten" and behind is not None and behind.layer.type == "FullyConnected":
            continue
        if links and links[-1].node.layer.type in _WEIGHED and _is_affine(node, network):
            links[-1].affine.append(node)
            continue
        links.append(Link(node))
    return links, problems


def _is_affine(node: Node, network: ExportedNetwork) -> bool:
    return node.layer.is_affine([network.shape(i) for i in node.inputs], network.shapes.weights[node.name])
