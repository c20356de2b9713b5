"""Drop layers that do nothing in inference: Dropout, a Concat or a sum of one input."""

from __future__ import annotations

from collections.abc import Collection

import attrs

from cnnrt.graph import Graph
from cnnrt.shapes import Shapes


def drop_identities(graph: Graph, shapes: Shapes, wanted: Collection[str]) -> tuple[Graph, list[str]]:
    """Let the readers of a layer that is the identity read its input instead; a wanted value stays."""
    stands_for: dict[str, str] = {}
    nodes, notes = [], []
    for node in graph.nodes:
        inputs = tuple(stands_for.get(v, v) for v in node.inputs)
        idle = node.layer.is_identity([shapes.values[v] for v in inputs])
        if idle and len(inputs) == len(node.outputs) == 1:
            if node.outputs[0] in wanted:
                notes.append(f"{node.name} does nothing in inference, but stays: its value was requested")
            else:
                stands_for[node.outputs[0]] = inputs[0]
                notes.append(f"{node.name} dropped: {node.layer.type} does nothing in inference")
                continue
        nodes.append(attrs.evolve(node, inputs=inputs))
    return attrs.evolve(graph, nodes=tuple(nodes)), notes
