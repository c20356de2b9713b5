"""What an exporter is: a plugin that writes a network in the form of another framework."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import attrs

from cnnrt.graph import Graph, Node
from cnnrt.layer import Array, Shape
from cnnrt.shapes import Shapes
from netfile_spec import NetFile


@attrs.frozen
class ExportedNetwork:
    """A network as an exporter gets it: what the NetFile states, before any pass.

    `shapes` are those of everything for one item, or for the only batch that the network takes; `more` are those for
    two items, None where the network takes one batch only. What differs between them depends on the batch.
    """

    netfile: NetFile
    graph: Graph
    shapes: Shapes
    more: Shapes | None = None

    def weights(self, node: Node) -> Mapping[str, Array]:
        """Return a node's weights, float32 in their logical shapes, read now."""
        return node.weights.load(self.shapes.weights[node.name]) if node.weights else {}

    def varies(self, value: str) -> tuple[bool, ...]:
        """Tell for each dimension of a value whether it depends on the batch."""
        one = self.shapes.values[value]
        two = one if self.more is None else self.more.values[value]
        return tuple(a != b for a, b in zip(one, two, strict=True))

    def shape(self, value: str) -> Shape:
        """Return a value's shape for one item (or the only batch)."""
        return self.shapes.values[value]


class Exporter(abc.ABC):
    """Writes networks in one format.

    `name` is what `cnnrt export --to` takes, `description` one line for listings. `suffix`: of the file that is
    written; empty where it is a folder.
    """

    name: ClassVar[str]
    description: ClassVar[str] = ""
    suffix: ClassVar[str] = ""

    def problem(self) -> str:
        """Return why nothing can be written here: which package is missing, and how to install it. Empty: all is there.

        Asked for listings; looks for the package without importing it.
        """
        return ""

    @abc.abstractmethod
    def write(self, network: ExportedNetwork, target: Path) -> Sequence[str]:
        """Write the network and return notes: what was lost, or should be looked at.

        `target` is a file that does not exist yet, or an empty folder; it gets its name when all of it is written.
        Raises ExportFailure with every layer that the format cannot express.
        """
