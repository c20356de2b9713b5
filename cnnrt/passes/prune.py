"""Leave out what the wanted values do not need."""

from __future__ import annotations

from collections.abc import Collection

import attrs

from cnnrt.graph import Graph
from cnnrt.shapes import Shapes


def prune(graph: Graph, shapes: Shapes, wanted: Collection[str]) -> tuple[Graph, list[str]]:
    """Keep the nodes and inputs on which a wanted value depends."""
    needed = set(wanted)
    kept = []
    for node in reversed(graph.nodes):
        if needed.intersection(node.outputs):
            kept.append(node)
            needed.update(node.inputs)
    kept.reverse()
    names = {n.name for n in kept}
    dropped = [n.name for n in graph.nodes if n.name not in names]
    inputs = tuple(i for i in graph.inputs if i.name in needed)
    notes = [f"not computed, since no requested output needs it: {name}" for name in dropped]
    return attrs.evolve(graph, nodes=tuple(kept), inputs=inputs, outputs=tuple(wanted)), notes
