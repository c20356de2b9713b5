"""Whether tensors fit the layers that they were matched with: each is judged, also behind one that does not fit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from cnnrt.errors import Problem, ShapeError
from cnnrt.graph import Graph, Node
from cnnrt.layer import Shape, shape_text
from cnnrt.loose_weights import LooseTensor
from netfile_spec.problems import quoted

_BATCH = 1
_ANY_IMAGE = (256, 256)


def shape_problems(graph: Graph, matched: Mapping[str, Mapping[str, tuple[LooseTensor, Shape]]]) -> list[Problem]:
    """Return a problem for each layer that cannot take its tensors.

    Where the shape of a layer's input is not known, since the NetFile states none, the tensors must fit some input.
    """
    problems = []
    values: dict[str, Shape] = {i.name: (_BATCH, *i.shape) for i in graph.inputs if i.shape is not None}
    for node in graph.nodes:
        weights = matched.get(node.name, {})
        shapes = {name: shape for name, (_, shape) in weights.items()}
        if any(not spec.optional and spec.name not in shapes for spec in node.layer.weights):
            continue  # its weights are in a file of their own, or missing, which was reported
        inputs = [values[value] for value in node.inputs if value in values]
        if len(inputs) < len(node.inputs):
            if weights and not any(_fitting(node, shapes, ())):
                problems.append(_problem(node, "its tensors do not go together", weights))
            continue
        try:
            results = _results(node, shapes, inputs)
        except ShapeError as error:
            problems.append(_problem(node, str(error), weights))
            results = next(_fitting(node, shapes, inputs), ())
        values.update(zip(node.outputs, results, strict=False))
    return problems


def _results(node: Node, stored: Mapping[str, Shape], inputs: Sequence[Shape]) -> tuple[Shape, ...]:
    return node.layer.output_shapes(inputs, node.layer.weight_shapes(stored, inputs))


def _fitting(node: Node, stored: Mapping[str, Shape], inputs: Sequence[Shape]) -> Iterator[tuple[Shape, ...]]:
    """Yield what the layer gives for inputs that its weights fit, so that the layers behind it can be judged."""
    group = getattr(node.layer, "group", 1)
    sizes = dict.fromkeys(size for shape in stored.values() for n in shape for size in (n * group, n))
    rows_and_columns = inputs[0][2:] if inputs else _ANY_IMAGE
    for size in sizes:
        for first in ((_BATCH, size, *rows_and_columns), (_BATCH, size)):
            try:
                yield _results(node, stored, [first, *inputs[1:]])
            except ShapeError:
                continue


def _problem(node: Node, message: str, weights: Mapping[str, tuple[LooseTensor, Shape]]) -> Problem:
    given = ", ".join(f"{name} {shape_text(shape)} from {quoted(t.name)}" for name, (t, shape) in weights.items())
    return Problem(f"{node.title}: {message}", node.position, hint=f"it was given {given}" if given else "")
