"""Fold an element-wise layer (ReLU, a sum) into a layer before it, which then applies it on the way out.

CNNdroid embeds ReLU in the layer before it in the same way (section 3 of the paper). A sum goes into the layer that
gives one of its summands, the later one if both could take it, and reads the other one (a residual, often the input of
some layers) as a further input. The node stands where the sum stood: there all that it reads has been computed.
"""

from __future__ import annotations

from collections.abc import Collection

import attrs

from cnnrt.graph import Folded, Graph, Node
from cnnrt.shapes import Shapes


def fold_elementwise(graph: Graph, shapes: Shapes, wanted: Collection[str]) -> tuple[Graph, list[str]]:
    """Fold every layer whose type its producer `folds`, if nobody else reads the value between the two."""
    readers = graph.readers()
    nodes: dict[str, Node] = {}  # by the value that the node gives
    notes = []
    for node in graph.nodes:
        able = _able(node, nodes, shapes)
        value = next((v for v in able if v not in wanted and len(readers[v]) == 1), None)
        if value is not None:
            nodes[node.outputs[0]] = _joined(nodes.pop(value), node, value)
            continue
        notes += [
            f"{node.name} not folded into {nodes[v].name}: the value {v!r} was requested" for v in able if v in wanted
        ]
        nodes[node.outputs[0]] = node
    return attrs.evolve(graph, nodes=tuple(nodes.values())), notes


def _able(node: Node, nodes: dict[str, Node], shapes: Shapes) -> list[str]:
    """Return the inputs of a layer whose producers fold layers like it, the latest first."""
    is_sum = node.layer.is_sum([shapes.values[v] for v in node.inputs])
    if node.weights or (len(node.inputs) != 1 and not is_sum):
        return []

    def folds(before: Node) -> bool:
        added = is_sum and any(f.further for f in before.folded)  # one sum for each node
        return len(before.outputs) == 1 and node.layer.type in before.layer.folds and not added

    return [value for value in reversed(nodes) if value in node.inputs and folds(nodes[value])]


def _joined(before: Node, node: Node, value: str) -> Node:
    further = tuple(v for v in node.inputs if v != value)
    folded = (*before.folded, Folded(node.name, node.layer, len(further)))
    return attrs.evolve(before, inputs=(*before.inputs, *further), outputs=node.outputs, folded=folded)
