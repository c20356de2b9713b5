"""From a NetFile to a graph: who reads what, and where the weights are. All problems are reported at once.

A layer reads the blobs that its `bottom` names, else what the layer before it gives; one that needs no input (Constant)
then reads nothing. A blob's name stands for whatever was written under it last before this point in the file (so
Caffe's in-place layers work as they do there), and a layer's name for that layer's own output.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

from cnnrt.errors import CnnrtError, KeyValueError, ParameterFileError, PluginError, Position, Problem
from cnnrt.graph import Graph, GraphInput, Node, nearest
from cnnrt.layer import Layer
from cnnrt.plugins import PluginHost
from cnnrt.vocabulary import layer_class
from cnnrt.weights import WeightSource, weight_source
from netfile_spec import InputBlock, LayerBlock, NetFile, resolve_inside

DEFAULT_INPUT = "data"
"""Name of the input where a NetFile states none, as CNNdroid's never do; "data_" if a layer is called so."""

MOST_HINTS = 10
"""Problems up to which the nearest name is looked for."""

MOST_PROBLEMS = 100
"""Problems after which building stops: looking for the nearest name takes a while, and nobody reads more."""


def build_graph(netfile: NetFile, root: Path, host: PluginHost | None = None, *, weights_follow: bool = False) -> Graph:
    """Return the graph of a NetFile whose parameter files lie in `root` (only their headers are read).

    `weights_follow`: layers without a parameter file get no weights here. Raises NetFileError with every problem of
    wiring, layers and parameter files.
    """
    return _Builder(netfile, root, host, weights_follow).build()


class _Builder:
    def __init__(self, netfile: NetFile, root: Path, host: PluginHost | None, weights_follow: bool) -> None:
        self.netfile = netfile
        self.root = root
        self.host = host
        self.weights_follow = weights_follow
        self.problems: list[Problem] = []
        self.first_named: dict[str, Position | None] = {}
        self.blobs: dict[str, str] = {}  # blob -> the value written under that name last
        self.values: set[str] = set()
        self.several: dict[str, tuple[str, ...]] = {}  # layer -> its values, where it gives several
        self.written_somewhere = {name for b in netfile.layers for name in (b.name, *(b.tops or ()))}

    def build(self) -> Graph:
        blocks = self.netfile.inputs or (InputBlock(name=self._default_input()),)
        inputs = []
        for block in blocks:
            self._claim(block.name, block.key_positions.get("name", block.position), "input")
            self._write(block.name, block.name)
            inputs.append(GraphInput(block.name, block.shape, block.batch))
        nodes: list[Node] = []
        previous = blocks[0].name
        for layer_block in self.netfile.layers:
            if len(self.problems) >= MOST_PROBLEMS:
                self.problems.append(Problem(f"the first {len(self.problems)} problems are listed; checking stopped"))
                break
            node = self._node(layer_block, previous)
            nodes.append(node)
            previous = node.outputs[0]
        if not nodes:
            self.problems.append(Problem("the NetFile has no layers", hint="a network needs at least one layer block"))
        read = {value for node in nodes for value in node.inputs}
        outputs = tuple(value for node in nodes for value in node.outputs if value not in read)
        aliases = {blob: value for blob, value in self.blobs.items() if blob not in self.values}
        file, source = self.netfile.file or "<netfile>", self.netfile.source
        graph = Graph(tuple(inputs), tuple(nodes), outputs, aliases, file, source)
        if self.problems:
            raise graph.error(self.problems)
        return graph

    def _default_input(self) -> str:
        name = DEFAULT_INPUT
        while any(block.name == name for block in self.netfile.layers):
            name += "_"
        return name

    def _node(self, block: LayerBlock, previous: str) -> Node:
        place = block.key_positions.get("name", block.position)
        tops = block.tops or (block.name,)
        outputs = (block.name,) if len(tops) == 1 else tops
        for name in dict.fromkeys((block.name, *outputs)):
            self._claim(name, place, "layer")
        layer = self._layer(block)
        bottoms = self._bottoms(block, layer, previous)
        if layer is not None:
            self._check_arity(block, layer, bottoms)
        for blob, value in zip(tops, outputs, strict=True):
            self._write(blob, value)
        if len(outputs) == 1:
            self.blobs.setdefault(block.name, block.name)
        elif block.name not in outputs:
            self.several[block.name] = outputs
        weights = self._weights(block, layer) if layer is not None else None
        stand_in = layer if layer is not None else cast(Layer, None)  # only until the problems are raised
        return Node(block.name, stand_in, bottoms, outputs, weights, position=place)

    def _claim(self, name: str, place: Position | None, what: str) -> None:
        if name in self.first_named:
            first = self.first_named[name]
            where = f" (first in line {first.line})" if first else ""
            self.problems.append(Problem(f"the name {name!r} is used twice{where}", place, hint=f"rename the {what}"))
        self.first_named.setdefault(name, place)

    def _write(self, blob: str, value: str) -> None:
        self.blobs[blob] = value
        self.values.add(value)

    def _layer(self, block: LayerBlock) -> Layer | None:
        try:
            layer = layer_class(block.type, self.host)
        except PluginError as error:
            self.problems.append(Problem(str(error), block.key_positions.get("type", block.position)))
            return None
        try:
            return layer(**block.keys)
        except KeyValueError as error:
            self.problems.append(
                Problem(f"layer {block.name!r}: {error}", block.key_positions.get(error.key, block.position))
            )
        except (CnnrtError, TypeError) as error:  # TypeError: a key that the layer does not have, or lacks
            self.problems.append(Problem(f"layer {block.name!r} ({block.type}): {error}", block.position))
        return None

    def _bottoms(self, block: LayerBlock, layer: Layer | None, previous: str) -> tuple[str, ...]:
        if block.bottoms is None:
            return () if layer is not None and layer.inputs[0] == 0 else (previous,)
        found = []
        for i, name in enumerate(block.bottoms):
            if name in self.blobs:
                found.append(self.blobs[name])
                continue
            place = block.bottom_positions[i] if i < len(block.bottom_positions) else block.position
            if name in self.several:
                hint = f"it gives several values: state one of {', '.join(self.several[name])}"
                self.problems.append(Problem(f"the layer {name!r} has no value of its own name", place, hint=hint))
            elif name in self.written_somewhere:
                hint = "a layer can only read what was written before it: move its block further down"
                self.problems.append(Problem(f"bottom {name!r} is not written yet at this point", place, hint=hint))
            else:
                # Comparing names takes a while; after a few problems the next ones are likely to be of the same kind.
                hint = nearest(name, tuple(self.blobs)) if len(self.problems) < MOST_HINTS else ""
                self.problems.append(Problem(f"no layer or input is named {name!r}", place, hint=hint))
        return tuple(found)

    def _check_arity(self, block: LayerBlock, layer: Layer, bottoms: tuple[str, ...]) -> None:
        least, most = layer.inputs
        given = len(bottoms) if block.bottoms is None else len(block.bottoms)
        if given < least or (most is not None and given > most):
            wanted = str(least) if most == least else f"at least {least}" if most is None else f"{least} to {most}"
            self.problems.append(
                Problem(
                    f"layer {block.name!r} ({layer.type}) takes {wanted} input{'s' * (wanted != '1')}, got {given}",
                    block.key_positions.get("bottom", block.position),
                )
            )

    def _weights(self, block: LayerBlock, layer: Layer) -> WeightSource | None:
        if block.parameters_file is None:
            needed = [w.name for w in layer.weights if not w.optional]
            if needed and not self.weights_follow:
                hint = f"state the file that holds {', '.join(needed)}"
                message = f"layer {block.name!r} ({layer.type}) has no parameters_file"
                self.problems.append(Problem(message, block.position, hint=hint))
            return None
        try:
            return weight_source(resolve_inside(self.root, block.parameters_file), layer.weights, layer.type)
        except ParameterFileError as error:
            place = block.key_positions.get("parameters_file", block.position)
            self.problems.append(Problem(f"layer {block.name!r}: {error}", place))
            return None
