"""Join Reshape, Permute and Reshape that shuffle channels: frameworks without a layer for it write it so.

Between kernels that keep channels last, five axes would have to be brought into the plain order and back; images may
stay as they are.
"""

from __future__ import annotations

from collections.abc import Collection

import attrs

from cnnrt.errors import PluginError
from cnnrt.graph import Graph, Node
from cnnrt.layer import Layer, Shape
from cnnrt.shapes import Shapes
from cnnrt.vocabulary import layer_class

TYPES = ("Reshape", "Permute", "Reshape")


def join_shuffles(graph: Graph, shapes: Shapes, wanted: Collection[str]) -> tuple[Graph, list[str]]:
    """Put a ChannelShuffle in the place of the three layers, if nobody else reads the values between them."""
    readers = graph.readers()
    makers = {value: node for node in graph.nodes for value in node.outputs}
    gone: set[str] = set()
    joined: dict[str, Node] = {}
    notes = []
    for node in graph.nodes:
        three = _three(node, makers)
        between = [n.outputs[0] for n in three[:-1]]
        taken = any(n.name in gone or n.name in joined for n in three)
        if not three or taken or any(value in wanted or len(readers[value]) != 1 for value in between):
            continue
        layer = _shuffle([shapes.values[v] for v in (three[0].inputs[0], *(n.outputs[0] for n in three))], three[1])
        if layer is not None:
            gone |= {n.name for n in three[:-1]}
            joined[node.name] = attrs.evolve(node, layer=layer, inputs=three[0].inputs)
            names = ", ".join(n.name for n in three[:-1])
            notes.append(f"{names} and {node.name} joined: together they are a ChannelShuffle")
    nodes = tuple(joined.get(n.name, n) for n in graph.nodes if n.name not in gone)
    return attrs.evolve(graph, nodes=nodes), notes


def _three(last: Node, makers: dict[str, Node]) -> list[Node]:
    """Return the nodes that end with `last`, in order, if they are of these types; else none."""
    found = [last]
    for kind in reversed(TYPES):
        node = found[0]
        if node.layer.type != kind or node.folded or len(node.inputs) != 1:
            return []
        if len(found) == len(TYPES):
            return found
        if node.inputs[0] not in makers:
            return []
        found.insert(0, makers[node.inputs[0]])
    return []


def _shuffle(values: list[Shape], permute: Node) -> Layer | None:
    """Return a ChannelShuffle with the effect of the layers that give these shapes one after the other, or None."""
    before, apart, swapped, after = values
    if before != after or len(before) < 2 or len(apart) != len(before) + 1 or before[0] != apart[0]:
        return None
    if before[2:] != apart[3:] or swapped != (apart[0], apart[2], apart[1], *apart[3:]):
        return None
    order = tuple(getattr(permute.layer, "order", ()))
    if len(order) < 2 or order != (0, 2, 1, *range(3, len(apart)))[: len(order)]:  # others follow as they were
        return None
    keys = {"group": apart[1]}
    try:
        return layer_class("ChannelShuffle")(**keys)
    except PluginError:
        return None
