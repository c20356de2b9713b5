"""The graph of a network: layers as nodes, joined by named values that are each written once.

A value is named after the layer that gives it. What a later stage does to a graph (folding, dropping)
gives a new graph; nothing is changed in place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import attrs
from attrs import field

from cnnrt.errors import InputError, NetFileError, Position, Problem
from cnnrt.layer import Layer, Shape
from cnnrt.weights import WeightSource
from netfile_spec.problems import closest

_MOST_COMPARED = 200
_LONGEST_SHOWN = 100


@attrs.frozen
class GraphInput:
    """A value handed in: its name and the shape of one item (no batch dimension), None where not stated.

    `batch`: the only number of items that the network takes; None: any.
    """

    name: str
    shape: Shape | None = None
    batch: int | None = None


@attrs.frozen
class Folded:
    """An element-wise layer that was folded into the one before it; the node gives its value instead.

    `further`: the values that it reads beside the one on the way (the other summand of a sum). They are the last of the
    node's inputs.
    """

    name: str
    layer: Layer
    further: int = 0


@attrs.frozen
class Node:
    """A layer in its place: what it reads and writes (names of values), its weights, what is folded into it."""

    name: str
    layer: Layer
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    weights: WeightSource | None = None
    folded: tuple[Folded, ...] = ()
    position: Position | None = field(default=None, eq=False)

    @property
    def title(self) -> str:
        """Name and type, as messages show them."""
        return f"layer {self.name!r} ({self.layer.type})"

    @property
    def own_inputs(self) -> tuple[str, ...]:
        """The values that the layer itself reads: without those of what is folded into it."""
        return self.inputs[: len(self.inputs) - sum(f.further for f in self.folded)]

    @property
    def all_folded(self) -> tuple[str, ...]:
        """Names of the layers folded into this one, in order: those in its weights, then those applied after it."""
        in_weights = self.weights.folded if self.weights else ()
        return (*(f.name for f in in_weights), *(f.name for f in self.folded))


@attrs.frozen
class Graph:
    """Nodes in an order in which they can be computed; `outputs` are the values that no node reads.

    `aliases` maps further names that users may know a value by (Caffe's blob names) to the value's name.
    `file` and `source` are the NetFile's, for messages.
    """

    inputs: tuple[GraphInput, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
    aliases: Mapping[str, str] = field(factory=dict)
    file: str = field(default="<graph>", eq=False)
    source: str = field(default="", eq=False, repr=False)

    @property
    def values(self) -> tuple[str, ...]:
        """Names of all values: inputs first, then in the order of the nodes."""
        return (*(i.name for i in self.inputs), *(v for n in self.nodes for v in n.outputs))

    def readers(self) -> dict[str, list[Node]]:
        """Return, for each value, the nodes that read it (one entry for each time it is read)."""
        result: dict[str, list[Node]] = {value: [] for value in self.values}
        for node in self.nodes:
            for value in node.inputs:
                result[value].append(node)
        return result

    def resolve(self, name: str) -> str:
        """Return the value that `name` (a value's or an alias) stands for; raises InputError with the nearest name."""
        if name in self.values:
            return name
        if name in self.aliases:
            return self.aliases[name]
        raise InputError(f"{self.file}: no value is named {name!r}; {nearest(name, (*self.values, *self.aliases))}")

    def needed_inputs(self, wanted: Iterable[str]) -> tuple[GraphInput, ...]:
        """Return the inputs on which the wanted values depend."""
        needed = set(wanted)
        for node in reversed(self.nodes):
            if needed.intersection(node.outputs):
                needed.update(node.inputs)
        return tuple(i for i in self.inputs if i.name in needed)

    def error(self, problems: Sequence[Problem]) -> NetFileError:
        """Return an error that shows `problems` in the NetFile's text, in the order of the file."""
        ordered = sorted(problems, key=lambda p: (p.position.line, p.position.column) if p.position else (0, 0))
        return NetFileError(ordered, file=self.file, source=self.source)


def nearest(name: str, known: Sequence[str]) -> str:
    """Return a hint: the nearest of the known names, or a list of some of them.

    Of many names only the latest are compared, since comparing takes a while; those of a file may be of any length.
    """
    if close := closest(name, known[-_MOST_COMPARED:]):
        return f"did you mean {close!r}?"
    shown = ", ".join(k[:_LONGEST_SHOWN] for k in known[:12]) + (", ..." if len(known) > 12 else "")
    return f"known: {shown}" if known else "there are none"


def free_name(name: str, taken: set[str]) -> str:
    """Return a name like `name` that is not among those taken, and add it to them: layers may be called anything."""
    while name in taken:
        name += "'"
    taken.add(name)
    return name
