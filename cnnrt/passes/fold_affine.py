"""Fold an affine layer (batch normalisation) into the weights of the layer before it: it then costs nothing.

y = factor * (weight * x + bias) + offset is again a weighted sum, with the weights factor * weight and the bias
factor * bias + offset. The layer before may be affine itself: then its own factors are the weights. The product is made
when weights are read (`WeightSource.load`); no file changes.
"""

from __future__ import annotations

from collections.abc import Collection

import attrs

from cnnrt.graph import Graph, Node
from cnnrt.shapes import Shapes
from cnnrt.weights import FoldedAffine


def fold_affine(graph: Graph, shapes: Shapes, wanted: Collection[str]) -> tuple[Graph, list[str]]:
    """Fold every affine layer into a layer before it that takes it, if nobody else reads the value between the two."""
    readers = graph.readers()
    nodes: dict[str, Node] = {}  # by the value that the node gives
    notes = []
    for node in graph.nodes:
        before = nodes.get(node.inputs[0]) if len(node.inputs) == 1 else None
        if before is not None and _takes(before, node, shapes):
            value = before.outputs[0]
            if value in wanted:
                notes.append(f"{node.name} not folded into {before.name}: the value {value!r} was requested")
            elif len(readers[value]) == 1:
                del nodes[value]
                nodes[node.outputs[0]] = _folded(before, node, shapes)
                notes.append(f"{node.name} multiplied into the weights of {before.name}")
                continue
        nodes[node.outputs[0]] = node
    return attrs.evolve(graph, nodes=tuple(nodes.values())), notes


def _takes(before: Node, node: Node, shapes: Shapes) -> bool:
    if not (node.weights and before.weights and len(before.outputs) == 1):
        return False
    if not node.layer.is_affine([shapes.values[v] for v in node.inputs], shapes.weights[node.name]):
        return False
    return not before.folded and before.layer.takes_affine(shapes.values[before.outputs[0]])


def _folded(before: Node, node: Node, shapes: Shapes) -> Node:
    assert before.weights is not None
    assert node.weights is not None
    channels = shapes.values[before.outputs[0]][1]
    affine = FoldedAffine(node.name, node.layer, node.weights, shapes.weights[node.name], channels)
    names = before.layer.affine_weights
    weights = attrs.evolve(before.weights, folded=(*before.weights.folded, affine), affine_names=names)
    return attrs.evolve(before, outputs=node.outputs, weights=weights)
