"""A network computed the plainest way: every layer as the NetFile has it, by its reference, nothing left out."""

from __future__ import annotations

from collections.abc import Mapping

from cnnrt.graph import Graph
from cnnrt.layer import Array
from cnnrt.shapes import infer_shapes


def all_values(graph: Graph, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Return every value of the graph by name."""
    shapes = infer_shapes(graph, {name: array.shape for name, array in inputs.items()})
    values = dict(inputs)
    for node in graph.nodes:
        weights = node.weights.load(shapes.weights[node.name]) if node.weights else {}
        results = node.layer.reference([values[v] for v in node.own_inputs], weights)
        further = [values[v] for v in node.inputs[len(node.own_inputs) :]]
        for f in node.folded:
            added, further = further[: f.further], further[f.further :]
            results = tuple(f.layer.reference([r, *added], {})[0] for r in results)
        values.update(zip(node.outputs, results, strict=True))
    return values
