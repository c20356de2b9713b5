"""Compute the first layers of a batch a few items at a time, so that what passes between them stays in the caches.

Early layers have large values and few weights: a batch of 16 pictures writes and reads again hundreds of megabytes.
Computed item by item ("depth first") the same values stay in the cache; the price is that weights are read again for
each part. The cut is where a sum of both says; behind it the whole batch goes on together.

In the graph this shows as two views: `TakeItems` of each input, and `JoinItems` at the cut.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import ClassVar

import attrs

from cnnrt.graph import Graph, Node, free_name
from cnnrt.layer import Array, Layer, Shape
from cnnrt.shapes import Shapes
from cnnrt.weights import WeightSource

MEMORY_SECONDS = 1 / 40e9
"""What a byte costs more in main memory than in a cache. A round figure for two cores of a server of 2024."""
WEIGHT_SECONDS = 2 / 40e9
"""What a byte of weights costs when it is read again from a shared cache; kernels may pack several bytes for one."""
STEP_SECONDS = 3e-6
"""Beginning a layer once more."""
PART_SECONDS = 3e-5
"""Beginning a part: windows move, and segments are called once more."""
CACHED = 2**22
"""Bytes of a layer's values up to which a cache holds the whole batch anyway."""


@attrs.frozen(kw_only=True)
class TakeItems(Layer):
    """A few items of a batch: a window that moves on from part to part. Inserted by the core, never in a NetFile."""

    type: ClassVar[str] = "TakeItems"
    view: ClassVar[bool] = True
    items: int

    def output_shapes(self, inputs: Sequence[Shape], weights: Mapping[str, Shape]) -> tuple[Shape, ...]:
        """Return the input's shape with so many items."""
        return ((self.items, *inputs[0][1:]),)

    def reference(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        """Return the first part."""
        return (inputs[0][: self.items].copy(),)


@attrs.frozen(kw_only=True)
class JoinItems(Layer):
    """The whole batch, of which each part was written to its place. Inserted by the core, never in a NetFile."""

    type: ClassVar[str] = "JoinItems"
    view: ClassVar[bool] = True
    parts: int

    def output_shapes(self, inputs: Sequence[Shape], weights: Mapping[str, Shape]) -> tuple[Shape, ...]:
        """Return the shape of all parts together."""
        return ((self.parts * inputs[0][0], *inputs[0][1:]),)

    def reference(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        """Return the part as often as there are parts."""
        return (inputs[0].repeat(self.parts, axis=0),)


def split_batch(
    graph: Graph, shapes: Shapes, wanted: Collection[str], items: int, resident: Callable[[WeightSource | None], bool]
) -> tuple[Graph, Shapes, list[str]]:
    """Return the graph with its first layers on `items` items at a time (0: on all), the shapes in it, and a note.

    Unchanged where the batch is no multiple, where layers do not treat items one by one, or where it does not pay.
    Layers whose weights are not `resident`, but read for each call, stay behind the cut.
    """
    parts = _parts(graph, shapes, items)
    cut = _best_cut(graph, shapes, wanted, parts, resident) if parts > 1 else 0
    if not cut:
        return graph, shapes, []
    first, behind = graph.nodes[:cut], graph.nodes[cut:]
    taken = {*shapes.values, *(node.name for node in graph.nodes)}
    (crossing,) = _crossing(graph, cut)
    values = dict(shapes.values)
    weights = dict(shapes.weights)
    nodes: list[Node] = []
    renamed: dict[str, str] = {}
    for value in _read_from_outside(first):
        renamed[value] = free_name(f"{value} (part)", taken)
        nodes.append(Node(free_name(f"part of {value}", taken), TakeItems(items=items), (value,), (renamed[value],)))
        values[renamed[value]] = (items, *shapes.values[value][1:])
    for node in first:
        nodes.append(attrs.evolve(node, inputs=tuple(renamed.get(v, v) for v in node.inputs)))
        given = (*node.outputs, node.name, *(f.name for f in node.folded))  # what is folded in may be taken apart again
        values.update({v: (items, *shapes.values[v][1:]) for v in given if v in shapes.values})
    whole = free_name(f"{crossing} (batch)", taken)
    nodes.append(Node(free_name(f"batch of {crossing}", taken), JoinItems(parts=parts), (crossing,), (whole,)))
    values[whole] = shapes.values[crossing]
    nodes += [attrs.evolve(node, inputs=tuple(whole if v == crossing else v for v in node.inputs)) for node in behind]
    weights.update({node.name: {} for node in nodes if isinstance(node.layer, TakeItems | JoinItems)})
    named = first[0].name if cut == 1 else f"{first[0].name} to {first[-1].name}"
    note = f"{named}: {items} items at a time, {parts} times, so that values stay in the cache"
    return attrs.evolve(graph, nodes=tuple(nodes)), Shapes(values, weights), [note]


def _parts(graph: Graph, shapes: Shapes, items: int) -> int:
    """Return into how many parts the batch falls; 1: it stays whole."""
    batches = {shapes.values[i.name][:1] for i in graph.inputs}
    if items < 1 or len(batches) != 1:
        return 1
    ((batch,),) = batches if batches != {()} else {(0,)}
    return batch // items if batch and batch % items == 0 else 1


def _best_cut(
    graph: Graph, shapes: Shapes, wanted: Collection[str], parts: int, resident: Callable[[WeightSource | None], bool]
) -> int:
    """Return the number of nodes to compute in parts; 0: none."""
    best, most, gain = 0, 0.0, (1 - parts) * PART_SECONDS
    for count, node in enumerate(graph.nodes[:-1], 1):
        inputs = [shapes.values[v] for v in node.inputs]
        outputs = [shapes.values[v] for v in node.outputs]
        same = all(shape[:1] == inputs[0][:1] for shape in (*inputs, *outputs))
        own = inputs[: len(node.own_inputs)]
        if not (inputs and same and node.layer.itemwise(own) and resident(node.weights)):
            break
        if any(v in wanted for v in node.outputs) or any(len(shape) < 3 for shape in outputs):
            break  # values of features are small, and their products are best computed for all items
        moved = 4 * sum(math.prod(shape) for shape in (*inputs, *outputs))
        read = 4 * sum(math.prod(shape) for shape in shapes.weights[node.name].values())
        gain += MEMORY_SECONDS * moved if moved > CACHED else 0.0
        gain -= (parts - 1) * (WEIGHT_SECONDS * read + STEP_SECONDS)
        if gain > most and len(_crossing(graph, count)) == 1:
            best, most = count, gain
    return best


def _crossing(graph: Graph, cut: int) -> set[str]:
    """Return the values that the first `cut` nodes give and others read."""
    given = {v for node in graph.nodes[:cut] for v in node.outputs}
    return given.intersection(v for node in graph.nodes[cut:] for v in node.inputs)


def _read_from_outside(nodes: Sequence[Node]) -> list[str]:
    """Return the values that these nodes read and none of them gives, in order."""
    given = {v for node in nodes for v in node.outputs}
    return list(dict.fromkeys(v for node in nodes for v in node.inputs if v not in given))
