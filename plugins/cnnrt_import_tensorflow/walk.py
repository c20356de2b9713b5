"""The walk over a graph: node after node that the outputs need becomes a layer, a constant, or a name of what is there.

A node that is a problem does not stop the walk; what depends on it is taken as it is, so that every cause is named
once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from cnnrt.channels_last.finishing import finished
from cnnrt.channels_last.graph_rules import Context, Operand, Result
from cnnrt.channels_last.network import Network
from cnnrt.channels_last.values import FAILED, Flow, Item
from cnnrt.findings import Findings
from cnnrt.importer import ImportedModel
from cnnrt.protobuf_wire import MalformedMessage
from cnnrt_import_tensorflow.calls import without_calls
from cnnrt_import_tensorflow.graph_file import StoredGraph
from cnnrt_import_tensorflow.messages import NodeDef
from cnnrt_import_tensorflow.nodes import Node
from cnnrt_import_tensorflow.supported import FRONT_END, LEFT_ALONE, RULES, advice
from cnnrt_import_tensorflow.tensors import KINDS
from cnnrt_import_tensorflow.variables import VARIABLES, Variables, find_variables
from netfile_spec.problems import quoted

_MOST_NAMED = 12
_LOOPS = "loops are not read"


def convert(graph: StoredGraph, path: Path) -> ImportedModel:
    """Return the model of a graph; raises ImportFailure with every problem."""
    findings = Findings(str(path))
    try:
        graph = without_calls(graph)
    except MalformedMessage as error:
        findings.problem(f"its functions cannot be read: {error}")
        findings.raise_if_any()
    nodes = _by_name(graph.nodes, findings)
    variables = find_variables(path, nodes, findings) if graph.saved else None
    walk = _Walk(nodes, findings, variables)
    outputs = graph.outputs or {name: name for name in _last(graph.nodes)}
    for node in _ordered(nodes, [_tensor(t)[0] for t in outputs.values()], findings):
        walk.take(node)
    walk.name_unsupported()
    return finished(walk.context.net, walk.outputs(outputs))


class _Walk:
    """The table of values while the nodes go by."""

    def __init__(self, nodes: Mapping[str, NodeDef], findings: Findings, variables: Variables | None) -> None:
        channels_last = not any(b"NCHW" in _layout(node) for node in nodes.values())
        self.findings = findings
        self.context = Context(Network(findings, channels_last), _stated_batch(nodes.values(), findings))
        self.variables = variables
        self.values: dict[str, Result] = {}
        self.unsupported: dict[str, list[Node]] = {}

    def take(self, stored: NodeDef) -> None:
        """Take one node: afterwards its outputs are in the table."""
        node = Node(stored, self.findings)
        if node.op == "Const":
            tensor = node.tensor("value")
            self.values[node.name] = FAILED if tensor is None else tensor
        elif node.op in ("Placeholder", "PlaceholderWithDefault", "PlaceholderV2") or node.op in FRONT_END:
            self.values[node.name] = self._input(node)
        elif node.op in VARIABLES and self.variables is not None:
            variable = self.variables.constant(node)
            self.values[node.name] = FAILED if variable is None else variable
        else:
            self.values[node.name] = self._ruled(node)

    def _ruled(self, node: Node) -> Result:
        rule = RULES.get(node.op)
        if rule is None:
            self.unsupported.setdefault(node.op, []).append(node)
            return FAILED
        inputs = [self.value(name, node) for name in node.stored.inputs if not name.startswith("^")]
        if not (rule.least <= len(inputs) and (rule.most is None or len(inputs) <= rule.most)):
            wanted = f"{rule.least}" if rule.most == rule.least else f"{rule.least} or more"
            return self.context.net.problem(node.place, f"{len(inputs)} inputs", expected=wanted)
        return rule.apply(self.context, node, inputs)

    def _input(self, node: Node) -> Flow:
        """Return an input: a placeholder, or what the reading of files and sound gives."""
        if node.op in FRONT_END:
            self.findings.note(
                f"{node.place.title} reads files or sound, which is left to you: what it gives is the network's input"
            )
            return self.context.net.input(node.name, None)
        kind = KINDS.get(node.data_type("dtype"))
        if kind is None or kind.name == "boolean":
            hint = "save the model for inference, with this chosen" if kind is not None else ""
            return self.context.net.problem(node.place, "an input that holds no numbers", hint=hint)
        shape = node.shape("shape")
        if not shape:
            # Old files state no shape where it is unknown.
            return self.context.net.input(node.name, None)
        item: Item = shape[1:]
        if not item or any(n == 0 for n in item):
            shown = f"an input of shape {list(shape)}"
            return self.context.net.problem(node.place, shown, expected="a batch of images")
        return self.context.net.input(node.name, item)

    def value(self, name: str, node: Node | None = None) -> Operand:
        """Return the value that an input names ("node" or "node:number")."""
        giver, number = _tensor(name)
        found = self.values.get(giver)
        if found is None:
            # A cycle, or a node that is not there: told when the nodes were put in order.
            return FAILED
        if isinstance(found, Sequence):
            found = found[number] if number < len(found) else FAILED
        elif number > 0:
            where = node.place.title if node else "the outputs"
            self.findings.problem(f"{where}: it reads output {number} of {quoted(giver)}", expected="the first one")
            return FAILED
        return found

    def name_unsupported(self) -> None:
        """Add a problem for each operator that is not supported, with the nodes that are of it."""
        for op, nodes in self.unsupported.items():
            shown = op if op.isidentifier() and len(op) < 60 else quoted(op)
            listed = ", ".join(quoted(node.name) for node in nodes[:_MOST_NAMED])
            more = f" and {len(nodes) - _MOST_NAMED} more" if len(nodes) > _MOST_NAMED else ""
            message = f"{shown} is not supported: node{'s' * (len(nodes) > 1)} {listed}{more}"
            self.findings.problem(message, hint=advice(op))

    def outputs(self, named: Mapping[str, str]) -> dict[str, Flow]:
        """Return the computed values among the outputs."""
        found: dict[str, Flow] = {}
        for name, tensor in named.items():
            value = self.value(tensor)
            if isinstance(value, Flow):
                found[name] = value
            else:
                self.findings.note(f"the output {quoted(name)} is left out: it does not depend on the input")
        return found


def _tensor(name: str) -> tuple[str, int]:
    """Return node and number of an output that is written "node" or "node:number"."""
    node, _, number = name.rpartition(":")
    return (node, int(number)) if node and number.isascii() and number.isdigit() and len(number) < 9 else (name, 0)


def _layout(node: NodeDef) -> bytes:
    field = node.attributes.get("data_format")
    return b"" if field is None else bytes(node.source.data[field.start : min(field.end, field.start + 16)])


def _by_name(nodes: Sequence[NodeDef], findings: Findings) -> dict[str, NodeDef]:
    found: dict[str, NodeDef] = {}
    for node in nodes:
        if node.name in found:
            findings.problem(f"the node {quoted(node.name)} is there twice")
        found[node.name] = node
    return found


def _stated_batch(nodes: Iterable[NodeDef], findings: Findings) -> int | None:
    """Return the batch that all inputs state; None where they leave it open or differ."""
    batches = set()
    for stored in nodes:
        if stored.op == "Placeholder":
            shape = Node(stored, findings).shape("shape")
            batches.add(shape[0] if shape else None)
    return batches.pop() if len(batches) == 1 else None


def _last(nodes: Sequence[NodeDef]) -> list[str]:
    """Return the nodes that nobody reads and whose values may be results."""
    read = {_tensor(name.removeprefix("^"))[0] for node in nodes for name in node.inputs}
    return [node.name for node in nodes if node.name not in read and node.op not in LEFT_ALONE]


def _ordered(nodes: Mapping[str, NodeDef], wanted: Sequence[str], findings: Findings) -> list[NodeDef]:
    """Return the nodes that the wanted ones need, each behind those that it reads.

    What reads in circles is a problem.
    """
    done: dict[str, bool] = {}  # False: under way
    order: list[NodeDef] = []
    for name in wanted:
        if name not in nodes:
            findings.problem(f"the output {quoted(name)} is given by no node")
            continue
        stack = [(name, iter(_read_by(nodes[name])))] if name not in done else []
        done.setdefault(name, False)
        while stack:
            current, rest = stack[-1]
            for before in rest:
                if before not in nodes:
                    findings.problem(f"node {quoted(current)}: nothing gives its input {quoted(before)}")
                elif before not in done:
                    done[before] = False
                    stack.append((before, iter(_read_by(nodes[before]))))
                    break
                elif not done[before]:
                    findings.problem(f"node {quoted(current)} reads {quoted(before)}, which depends on it", hint=_LOOPS)
            else:
                stack.pop()
                done[current] = True
                order.append(nodes[current])
    return order


def _read_by(node: NodeDef) -> list[str]:
    """Return the nodes that a node reads; what reads files and sound is an input, and needs nothing."""
    if node.op in FRONT_END:
        return []
    return [_tensor(name)[0] for name in node.inputs if not name.startswith("^")]
