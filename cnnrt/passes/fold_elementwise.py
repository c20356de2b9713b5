"""Fold an element-wise layer (ReLU) into the layer before it, which then applies it on the way out.

CNNdroid embeds ReLU in the layer before it in the same way (section 3 of the paper).
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
        before = nodes.get(node.inputs[0]) if len(node.inputs) == 1 else None
        if before and len(before.outputs) == 1 and node.layer.type in before.layer.folds and not node.weights:
            value = before.outputs[0]
            if value in wanted:
                notes.append(f"{node.name} not folded into {before.name}: the value {value!r} was requested")
            elif len(readers[value]) == 1:
                del nodes[value]
                folded = (*before.folded, Folded(node.name, node.layer))
                nodes[node.outputs[0]] = attrs.evolve(before, outputs=node.outputs, folded=folded)
                continue
        nodes[node.outputs[0]] = node
    return attrs.evolve(graph, nodes=tuple(nodes.values())), notes
