"""Shape inference: from the shapes of the inputs to those of every value, all problems at once."""

from __future__ import annotations

import math
from collections.abc import Mapping

import attrs

from cnnrt.errors import Problem, ShapeError
from cnnrt.graph import Graph, Node
from cnnrt.layer import Shape, shape_text
from cnnrt.layer_call import LayerCall
from cnnrt.tensor import TensorType

LARGEST_VALUE = 1 << 40
"""Elements beyond which a value is taken for a mistake in the NetFile (4 TiB in float32)."""


@attrs.frozen
class Shapes:
    """Shapes of all values (by name), and logical shapes of all weights (by node, then by weight)."""

    values: Mapping[str, Shape]
    weights: Mapping[str, Mapping[str, Shape]]

    def call(self, node: Node) -> LayerCall:
        """Return the node's layer at work on these shapes, float32 in the plain layout."""
        return LayerCall(
            node.layer,
            tuple(TensorType(self.values[v]) for v in node.inputs),
            tuple(TensorType(self.values[v]) for v in node.outputs),
            {name: TensorType(shape) for name, shape in self.weights[node.name].items()},
            tuple(f.layer for f in node.folded),
        )

    def with_weights_of(self, graph: Graph) -> Shapes:
        """Return these shapes with the weights of `graph`, whose values are among them: what passes changed."""
        weights = dict(self.weights)
        for node in graph.nodes:
            if node.weights:
                inputs = [self.values[v] for v in node.own_inputs]
                weights[node.name] = node.layer.weight_shapes(node.weights.shapes, inputs)
        return Shapes(self.values, weights)


def infer_shapes(graph: Graph, inputs: Mapping[str, Shape]) -> Shapes:
    """Return the shapes of everything, given those of the graph's inputs (with the batch dimension).

    Raises NetFileError with every problem; layers behind one that failed are not judged.
    """
    values: dict[str, Shape] = {name: tuple(shape) for name, shape in inputs.items()}
    weights: dict[str, Mapping[str, Shape]] = {}
    problems: list[Problem] = []
    for node in graph.nodes:
        if any(v not in values for v in node.inputs):
            continue
        given = tuple(values[v] for v in node.inputs)
        try:
            stored = node.weights.shapes if node.weights else {}
            logical = node.layer.weight_shapes(stored, given)
            _check_same_size(stored, logical)
            results = node.layer.output_shapes(given, logical)
            _check_results(node, results)
        except ShapeError as error:
            shown = ", ".join(shape_text(s) for s in given)
            problems.append(Problem(f"{node.title}: {error}", node.position, hint=f"its input is {shown}"))
            continue
        weights[node.name] = logical
        values.update(zip(node.outputs, results, strict=True))
    if problems:
        raise graph.error(problems)
    return Shapes(values, weights)


def _check_same_size(stored: Mapping[str, Shape], logical: Mapping[str, Shape]) -> None:
    for name, shape in logical.items():
        if math.prod(stored[name]) != math.prod(shape):
            raise ShapeError(f"expected {name} of shape {shape_text(shape)}, got {shape_text(stored[name])}")


def _check_results(node: Node, results: tuple[Shape, ...]) -> None:
    if len(results) != len(node.outputs):
        raise ShapeError(f"it gives {len(results)} values, but the NetFile names {len(node.outputs)} tops")
    for shape in results:
        if math.prod(shape) > LARGEST_VALUE:
            raise ShapeError(f"its output of {shape_text(shape)} is too large")
