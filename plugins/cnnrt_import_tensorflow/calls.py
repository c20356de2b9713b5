"""Functions of a graph put in place of the nodes that call them, so that one flat graph is left.

In a function's nodes inputs are written "node:output:number", where `output` is the name of one of the operator's
outputs; arguments go by their names (tensorflow/core/framework/function.proto).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import attrs

from cnnrt.protobuf_wire import MalformedMessage
from cnnrt_import_tensorflow.graph_file import Function, StoredGraph
from cnnrt_import_tensorflow.messages import MOST_NODES, NodeDef, attribute

_CALLS = ("PartitionedCall", "StatefulPartitionedCall")
_DEEPEST = 40


def without_calls(graph: StoredGraph) -> StoredGraph:
    """Return the graph in which functions stand in place of their calls; raises MalformedMessage for too deep ones.

    Values of a call go by the names of what gives them in the function; `outputs` are renamed as well.
    """
    if not graph.functions:
        return graph
    flat = _Flat(graph.functions)
    flat.add(graph.nodes, "", {}, 0)
    nodes = [attrs.evolve(n, inputs=tuple(flat.resolved(i) for i in n.inputs)) for n in flat.nodes]
    names = flat.short_names()
    nodes = [attrs.evolve(n, name=names[n.name], inputs=tuple(_renamed(i, names) for i in n.inputs)) for n in nodes]
    outputs = {name: _renamed(flat.resolved(tensor), names) for name, tensor in graph.outputs.items()}
    return attrs.evolve(graph, nodes=nodes, functions={}, outputs=outputs)


class _Flat:
    """Nodes so far, under long names, and what the values of calls are called in the functions."""

    def __init__(self, functions: dict[str, Function]) -> None:
        self.functions = functions
        self.nodes: list[NodeDef] = []
        self.given: dict[str, str] = {}

    def add(self, nodes: Sequence[NodeDef], prefix: str, arguments: dict[str, str], depth: int) -> None:
        """Add nodes whose names get a prefix; inputs that are arguments are what the call was given for them."""
        if depth > _DEEPEST:
            raise MalformedMessage(0, f"functions that call one another in more than {_DEEPEST} levels")
        kinds = {node.name: node.op for node in nodes}
        for node in nodes:
            if len(self.nodes) >= MOST_NODES:
                raise MalformedMessage(0, f"more than {MOST_NODES:,} nodes")
            inputs = tuple(self._outside(i, prefix, arguments, kinds, depth) for i in node.inputs)
            name = prefix + node.name
            function = self._called(node)
            if function is None:
                self.nodes.append(attrs.evolve(node, name=name, inputs=inputs))
                continue
            plain = [i for i in inputs if not i.startswith("^")]
            self.add(function.nodes, f"{name}/", dict(zip(function.arguments, plain, strict=False)), depth + 1)
            inner = {n.name: n.op for n in function.nodes}
            own = dict(zip(function.arguments, plain, strict=False))
            for number, result in enumerate(function.results):
                value = self._outside(result, f"{name}/", own, inner, depth + 1)
                self.given[f"{name}:{number}"] = value
                if number == 0:
                    self.given[name] = value

    def _called(self, node: NodeDef) -> Function | None:
        if node.op in self.functions:
            return self.functions[node.op]
        field = node.attributes.get("f") if node.op in _CALLS else None
        value = attribute(node.source, field) if field is not None else None
        return self.functions.get(str(value[1])) if isinstance(value, tuple) and value[:1] == ("function",) else None

    def _outside(self, written: str, prefix: str, arguments: dict[str, str], kinds: dict[str, str], depth: int) -> str:
        """Return an input as it is called in the flat graph."""
        if written.startswith("^"):
            return f"^{prefix}{written[1:]}"
        if written in arguments:
            return arguments[written]
        if depth == 0:
            return written
        node, _, rest = written.partition(":")
        output, _, number = rest.partition(":")
        # Other outputs of a normalisation are statistics of the batch.
        first = not kinds.get(node, "").startswith("FusedBatchNorm") or output in ("", "y")
        return f"{prefix}{node}:{number or 0}" if first else f"{prefix}{node}:1"

    def resolved(self, tensor: str) -> str:
        """Return what gives a value: not a call, but what gives it in the function."""
        for _ in range(_DEEPEST * 2):
            found = self.given.get(tensor) or self.given.get(tensor.removesuffix(":0"))
            if found is None:
                return tensor
            tensor = found
        return tensor

    def short_names(self) -> dict[str, str]:
        """Return a name for each node without the names of calls, where that is still its own."""
        short = {node.name: self._without_calls(node.name) for node in self.nodes}
        count = Counter(short.values())
        return {name: other if count[other] == 1 else name for name, other in short.items()}

    @staticmethod
    def _without_calls(name: str) -> str:
        parts = [part for part in name.split("/") if part.rstrip("_0123456789") not in _CALLS]
        return "/".join(parts) or name


def _renamed(tensor: str, names: dict[str, str]) -> str:
    control = "^" if tensor.startswith("^") else ""
    node, colon, number = tensor[len(control) :].rpartition(":")
    if not colon or not number.isdigit():
        node, colon, number = tensor[len(control) :], "", ""
    return f"{control}{names.get(node, node)}{colon}{number}"
