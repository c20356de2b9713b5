"""Compute the first layers of a batch a few items at a time, so that what passes between them stays in the caches.

Early layers have large values and few weights: a batch of 16 pictures writes and reads again hundreds of megabytes.
Computed item by item ("depth first") the same values stay in the cache; the price is that weights are read again for
each part. The cut is where a sum of both says; behind it the whole batch goes on together.

Where values have to be copied to a device, the whole network is computed in parts instead, so that one part is copied
while another is computed.

In the graph this shows as two views: `TakeItems` of each input, and `JoinItems` at the cut, or of each result.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from typing import ClassVar

import attrs

from cnnrt.graph import Graph, Node, free_name
from cnnrt.layer import Array, Layer, Shape
from cnnrt.shapes import Shapes

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


@attrs.frozen
class Split:
    """How a batch is to be cut: `items` at a time (0: all), before node number `cut`; None: where it pays.

    Layers whose weights are in `streamed` (keys of sources) are read for each call, and stay behind a cut that is to
    pay. `whole`: the whole network is, whatever `cut` says.
    """

    items: int = 0
    cut: int | None = None
    streamed: frozenset[Hashable] = frozenset()
    whole: bool = False


def split_batch(graph: Graph, shapes: Shapes, wanted: Collection[str], split: Split) -> tuple[Graph, Shapes, list[str]]:
    """Return the graph with its first layers on a few items at a time, the shapes in it, and a note.

    Unchanged where the batch is no multiple, where layers do not treat items one by one, or where it does not pay.
    """
    items, parts = split.items, _parts(graph, shapes, split.items)
    if split.whole:
        return _split_whole(graph, shapes, wanted, items, parts)
    cut = split.cut if parts > 1 else 0
    if cut is None:
        cut = _best_cut(graph, shapes, wanted, parts, split.streamed)
    if not cut:
        return graph, shapes, []
    aim = "values stay in the cache" if split.cut is None else "they take less memory"
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
    note = f"{named}: {items} items at a time, {parts} times, so that {aim}"
    return attrs.evolve(graph, nodes=tuple(nodes)), Shapes(values, weights), [note]


def _split_whole(
    graph: Graph, shapes: Shapes, wanted: Collection[str], items: int, parts: int
) -> tuple[Graph, Shapes, list[str]]:
    """Return the graph with all layers on a few items at a time; unchanged where one does not treat items singly."""
    given = {v for node in graph.nodes for v in node.outputs}
    if parts < 2 or not given.issuperset(wanted) or not all(_by_items(node, shapes) for node in graph.nodes):
        return graph, shapes, []
    taken = {*shapes.values, *(node.name for node in graph.nodes)}
    part = {v: free_name(f"{v} (part)", taken) for v in (*_read_from_outside(graph.nodes), *wanted)}
    values = dict(shapes.values)
    for node in graph.nodes:
        names = (*node.outputs, node.name, *(f.name for f in node.folded))
        values.update({v: (items, *shapes.values[v][1:]) for v in names if v in shapes.values and v not in wanted})
    values.update({name: (items, *shapes.values[v][1:]) for v, name in part.items()})
    nodes = [
        Node(free_name(f"part of {v}", taken), TakeItems(items=items), (v,), (part[v],))
        for v in _read_from_outside(graph.nodes)
    ]
    nodes += [
        attrs.evolve(
            node,
            inputs=tuple(part.get(v, v) for v in node.inputs),
            outputs=tuple(part.get(v, v) for v in node.outputs),
        )
        for node in graph.nodes
    ]
    nodes += [Node(free_name(f"batch of {v}", taken), JoinItems(parts=parts), (part[v],), (v,)) for v in wanted]
    weights = dict(shapes.weights)
    weights.update({node.name: {} for node in nodes if isinstance(node.layer, TakeItems | JoinItems)})
    note = f"{items} items at a time, {parts} times, so that some are copied while others are computed"
    return attrs.evolve(graph, nodes=tuple(nodes)), Shapes(values, weights), [note]


def _by_items(node: Node, shapes: Shapes) -> bool:
    """Tell whether a node computes each item of a batch by itself."""
    inputs = [shapes.values[v] for v in node.inputs]
    same = all(shape[:1] == inputs[0][:1] for shape in (*inputs, *(shapes.values[v] for v in node.outputs)))
    return bool(inputs) and same and node.layer.itemwise(inputs[: len(node.own_inputs)])


def times_of(layers: Sequence[Layer]) -> list[int]:
    """Return how often each layer runs in a call: what is before the first `JoinItems`, part by part."""
    joined, parts = next(((i, each.parts) for i, each in enumerate(layers) if isinstance(each, JoinItems)), (0, 1))
    return [parts if i < joined else 1 for i in range(len(layers))]


def _parts(graph: Graph, shapes: Shapes, items: int) -> int:
    """Return into how many parts the batch falls; 1: it stays whole."""
    batch = _batch(graph, shapes)
    return batch // items if items >= 1 and batch and batch % items == 0 else 1


def _batch(graph: Graph, shapes: Shapes) -> int:
    """Return the items that all inputs hold; 0 where they differ."""
    batches = {shapes.values[i.name][:1] for i in graph.inputs}
    if len(batches) != 1 or () in batches:
        return 0
    ((batch,),) = batches
    return batch


def lean_splits(graph: Graph, shapes: Shapes, wanted: Collection[str]) -> list[Split]:
    """Return ways to cut the batch so that values take less memory: fewer and fewer items at a time."""
    batch = _batch(graph, shapes)
    cuts = list(_cuts(graph, shapes, wanted))
    found = []
    for items in range(batch // 2, 0, -1):
        if batch % items or not cuts:
            continue
        found.append(Split(items, min(cuts, key=lambda cut: (_values_bytes(graph, shapes, items / batch, cut), cut))))
    return found


def _best_cut(graph: Graph, shapes: Shapes, wanted: Collection[str], parts: int, streamed: Collection[Hashable]) -> int:
    """Return the number of nodes to compute in parts; 0: none."""
    best, most, gain = 0, 0.0, (1 - parts) * PART_SECONDS
    legal = set(_cuts(graph, shapes, wanted))
    for count, node in enumerate(graph.nodes[: max(legal, default=0)], 1):
        if node.weights and node.weights.key in streamed:
            break
        moved = _moved_bytes(node, shapes)
        read = 4 * sum(math.prod(shape) for shape in shapes.weights[node.name].values())
        gain += MEMORY_SECONDS * moved if moved > CACHED else 0.0
        gain -= (parts - 1) * (WEIGHT_SECONDS * read + STEP_SECONDS)
        if gain > most and count in legal:
            best, most = count, gain
    return best


def _cuts(graph: Graph, shapes: Shapes, wanted: Collection[str]) -> Iterator[int]:
    """Yield how many nodes may be computed in parts."""
    for count, node in enumerate(graph.nodes[:-1], 1):
        if not _by_items(node, shapes):
            return
        if any(v in wanted or len(shapes.values[v]) < 3 for v in node.outputs):
            return  # values of features are small, and their products are best computed for all items
        if len(_crossing(graph, count)) == 1:
            yield count


def _moved_bytes(node: Node, shapes: Shapes) -> int:
    """Return the bytes of what a node reads and writes, weights aside."""
    return 4 * sum(math.prod(shapes.values[v]) for v in (*node.inputs, *node.outputs))


def _values_bytes(graph: Graph, shapes: Shapes, share: float, cut: int) -> float:
    """Return about how many bytes values take at most, where the first `cut` nodes compute a share of the batch."""
    (crossing,) = _crossing(graph, cut)
    joined = 4 * math.prod(shapes.values[crossing])
    given = {*(i.name for i in graph.inputs)}
    first = max(share * _moved_bytes(node, shapes) for node in graph.nodes[:cut])
    behind = max(
        4 * sum(math.prod(shapes.values[v]) for v in (*node.inputs, *node.outputs) if v not in given)
        for node in graph.nodes[cut:]
    )
    return max(joined + first, behind)


def _crossing(graph: Graph, cut: int) -> set[str]:
    """Return the values that the first `cut` nodes give and others read."""
    given = {v for node in graph.nodes[:cut] for v in node.outputs}
    return given.intersection(v for node in graph.nodes[cut:] for v in node.inputs)


def _read_from_outside(nodes: Sequence[Node]) -> list[str]:
    """Return the values that these nodes read and none of them gives, in order."""
    given = {v for node in nodes for v in node.outputs}
    return list(dict.fromkeys(v for node in nodes for v in node.inputs if v not in given))
