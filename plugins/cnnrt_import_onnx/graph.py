"""The walk over a graph: node after node becomes a layer, a constant, or another name of what is there already.

Only nodes on which an output depends are looked at. A node that is a problem does not stop the walk; what depends on
it is taken as it is, so that every cause is named once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from cnnrt.errors import KeyValueError, ShapeError
from cnnrt.vocabulary import layer_class
from cnnrt_import_onnx.findings import Findings
from cnnrt_import_onnx.inputs import GraphInput, graph_inputs
from cnnrt_import_onnx.join_rules import total
from cnnrt_import_onnx.layer_rules import Inputs, with_bias
from cnnrt_import_onnx.model_file import opset_of
from cnnrt_import_onnx.model_text import text_of
from cnnrt_import_onnx.nodes import OnnxNode
from cnnrt_import_onnx.shape_rules import flatten, identity, reshape
from cnnrt_import_onnx.supported import ARRANGING, RULES, SUPPORTED, advice
from cnnrt_import_onnx.tensors import MalformedTensor, Tensor, read_tensor
from cnnrt_import_onnx.values import Biased, Flow, Item, Made, Outcome, Same
from netfile_spec.problems import quoted

_MOST_NAMED = 12
# Attributes of Constant that hold numbers: the field of the attribute, the kind of tensor that they make.
_NUMBERS = {
    "value_float": ("f", "FLOAT", np.float32),
    "value_floats": ("floats", "FLOAT", np.float32),
    "value_int": ("i", "INT64", np.int64),
    "value_ints": ("ints", "INT64", np.int64),
}


@attrs.define(eq=False)
class FoundLayer:
    """A layer: what it was made as, the node's own name and operator, and the names of values that it stands for."""

    name: str
    op: str
    made: Made
    values: list[str]


@attrs.frozen(eq=False)
class ReadGraph:
    """The inputs that are needed, the layers in order, and the outputs: names of values, each with its layer."""

    name: str
    inputs: Sequence[GraphInput]
    layers: Sequence[FoundLayer]
    outputs: Mapping[str, FoundLayer]


def read_graph(model: Any, folder: Path, findings: Findings) -> ReadGraph:
    """Return the graph of a ModelProto whose external data lies in `folder`; findings say what stands in the way."""
    walk = _Walk(model, folder, findings)
    for node in walk.nodes:
        walk.take(node)
    walk.name_unsupported()
    outputs = walk.outputs()
    if not walk.layers and not findings.problems:
        findings.problem("the model computes nothing", expected=f"nodes of {', '.join(SUPPORTED)}")
    return ReadGraph(text_of(model.graph.name), walk.inputs, walk.layers, outputs)


class _Walk:
    """The table of values while the nodes go by."""

    def __init__(self, model: Any, folder: Path, findings: Findings) -> None:
        self.findings = findings
        self.folder = folder
        self.output_names = [text_of(o.name) for o in model.graph.output]
        opset = opset_of(model)
        every_node = [_node(proto, opset) for proto in model.graph.node]
        self.nodes, needed = _live(every_node, self.output_names)
        self.uses = Counter(self.output_names)
        self.uses.update(name for node in self.nodes for name in node.inputs)
        self.written = {name for node in every_node for name in node.outputs}
        self.values: dict[str, Flow | Tensor] = {}
        self.layers: list[FoundLayer] = []
        self.unsupported: dict[tuple[str, str], list[OnnxNode]] = {}

        constants = self._read_initializers(model.graph, needed)
        self.inputs = graph_inputs(model.graph, constants, needed, findings)
        for given in self.inputs:
            self.values[given.name] = Flow(given.name, given.item)
        batches = {given.batch for given in self.inputs}
        self.batch = batches.pop() if len(batches) == 1 else None

    def _read_initializers(self, graph: Any, needed: set[str]) -> set[str]:
        names = set()
        for proto in graph.initializer:
            name = text_of(proto.name)
            if name in names:
                self.findings.problem(f"the constant {quoted(name)} is there twice")
            elif name in needed:
                self.values[name] = self._tensor(proto, f"the constant {quoted(name)}", name)
            names.add(name)
        return names

    def _tensor(self, proto: Any, what: str, name: str) -> Flow | Tensor:
        try:
            return read_tensor(proto, self.folder, name)
        except MalformedTensor as error:
            self.findings.problem(f"{what} cannot be read: {error}")
            return Flow(name, failed=True)

    def take(self, node: OnnxNode) -> None:
        """Take one node: afterwards its outputs are in the table."""
        inputs = self._inputs(node)
        made = self._outcome(node, inputs) if self._well_formed(node) else None
        result = self._placed(node, made)
        for number, name in enumerate(n for n in node.outputs if n):
            if name in self.values:
                self.findings.problem(f"{node.title}: the value {quoted(name)} is there already")
            self.values[name] = result if number == 0 else Flow(-1, failed=True)

    def _inputs(self, node: OnnxNode) -> Inputs:
        found: list[Flow | Tensor | None] = []
        for name in node.inputs:
            if name and name not in self.values:
                hint = "nodes must be in the order in which they are computed" if name in self.written else ""
                self.findings.problem(f"{node.title}: nothing before it gives its input {quoted(name)}", hint=hint)
                self.values[name] = Flow(-1, failed=True)
            found.append(self.values[name] if name else None)
        return tuple(found)

    def _well_formed(self, node: OnnxNode) -> bool:
        """Tell whether the node is of a supported kind and has as many inputs and outputs as it should."""
        if node.domain or node.op not in SUPPORTED:
            self.unsupported.setdefault((node.op, node.domain), []).append(node)
            return False
        rule = RULES.get(node.op)
        least, most = (rule.least, rule.most) if rule else ARRANGING[node.op]
        count = len(node.inputs)
        if not (least <= count and (most is None or count <= most)):
            wanted = f"{least}" if most == least else f"at least {least}" if most is None else f"{least} to {most}"
            self.findings.problem(f"{node.title}: {count} inputs", expected=wanted)
            return False
        extra = [name for name in node.outputs[1:] if name and self.uses[name]]
        if extra:
            self.findings.problem(
                f"{node.title}: its output {quoted(extra[0])} is used", expected="the first output only"
            )
            return False
        for name in node.attributes:
            if rule and name not in rule.attributes:
                self.findings.note(f"{node.title}: the attribute {quoted(name)} is unknown and was ignored")
        return True

    def _outcome(self, node: OnnxNode, inputs: Inputs) -> Outcome:
        findings = self.findings
        match node.op:
            case "Constant":
                return self._constant(node)
            case "Identity":
                return identity(node, inputs, findings)
            case "Flatten":
                return flatten(node, inputs, findings)
            case "Reshape":
                return reshape(node, inputs, findings, self.batch)
            case "Add":
                return self._sum(node, inputs)
        rule = RULES[node.op]
        left_out = (None,) * ((rule.most or 0) - len(inputs))
        return rule.convert(node, (*inputs, *left_out), findings)

    def _sum(self, node: OnnxNode, inputs: Inputs) -> Outcome:
        """Return a constant as the bias of the layer before, where nobody else reads that; else a layer that adds."""
        for value, added in (inputs, inputs[::-1]):
            if (
                isinstance(value, Flow)
                and isinstance(value.source, int)
                and isinstance(added, Tensor)
                and not value.failed
            ):
                layer = self.layers[value.source]
                only_reader = all(self.uses[name] == 1 and name not in self.output_names for name in layer.values)
                if layer.made.type in ("Convolution", "FullyConnected") and only_reader:
                    made = with_bias(node, layer.made, added, self.findings)
                    return None if made is None else Biased(value.source, made)
        return total(node, inputs, self.findings)

    def _constant(self, node: OnnxNode) -> Same | None:
        found = [(name, a) for name, a in node.attributes.items() if name in ("value", *_NUMBERS)]
        if len(found) != 1:
            expected = f"one of value, {', '.join(_NUMBERS)}"
            self.findings.problem(f"{node.title}: it does not state one tensor or numbers", expected=expected)
            return None
        ((name, attribute),) = found
        output = node.outputs[0]
        if name == "value":
            tensor = self._tensor(attribute.t, node.title, output)
            return Same(tensor)
        field, kind, dtype = _NUMBERS[name]
        values = np.array(getattr(attribute, field), dtype)
        return Same(Tensor(output, values.shape, kind, lambda: values))

    def _placed(self, node: OnnxNode, outcome: Outcome) -> Flow | Tensor:
        """Put what the node became into the list of layers, and return what its output is now."""
        output = next((o for o in node.outputs if o), "")
        match outcome:
            case Same(value):
                if isinstance(value, Flow) and isinstance(value.source, int) and not value.failed:
                    self.layers[value.source].values.append(output)
                return value
            case Biased(index, made):
                # The value before the addition is gone, and its name with it.
                self.layers[index].made, self.layers[index].values = made, [output]
                return Flow(index, self._item(node, made))
            case Made():
                self.layers.append(FoundLayer(node.name, node.op, outcome, [output]))
                item = self._item(node, outcome)
                return Flow(len(self.layers) - 1, item, failed=any(i.failed for i in outcome.inputs))
            case None:
                return Flow(-1, failed=True)

    def _item(self, node: OnnxNode, made: Made) -> Item | None:
        """Return the shape of one item of a layer's output, by the layer's own rule where the inputs' are known."""
        try:
            layer = layer_class(made.type)(**made.keys)
            sizes = [value.sizes for value in made.inputs]
            shapes = [(1, *s) for s in sizes if s is not None]
            if len(shapes) < len(sizes):
                return made.item
            (result,) = layer.output_shapes(shapes, {name: w.shape for name, w in made.weights.items()})
            return result[1:]
        except (KeyValueError, ShapeError) as error:
            self.findings.problem(f"{node.title}: {error}")
            return None

    def name_unsupported(self) -> None:
        """Add a problem for each operator that is not supported, with the nodes that are of it."""
        for number, ((op, domain), nodes) in enumerate(self.unsupported.items(), start=1):
            shown = op if op.isidentifier() and len(op) < 60 else quoted(op)
            where = f" of {quoted(domain)}" if domain else ""
            listed = ", ".join(node.short for node in nodes[:_MOST_NAMED])
            more = f" and {len(nodes) - _MOST_NAMED} more" if len(nodes) > _MOST_NAMED else ""
            self.findings.problem(
                f"{shown}{where} is not supported: node{'s' * (len(nodes) > 1)} {listed}{more}",
                expected=f"one of {', '.join(SUPPORTED)}" if number == len(self.unsupported) else "",
                hint=advice(op, domain),
            )

    def outputs(self) -> dict[str, FoundLayer]:
        """Return the layer of each of the model's outputs."""
        found: dict[str, FoundLayer] = {}
        if not self.output_names:
            self.findings.problem("the model has no outputs")
        read = {v.source for layer in self.layers for v in layer.made.inputs}
        for name in self.output_names:
            value, what = self.values.get(name), f"the output {quoted(name)}"
            if value is None:
                self.findings.problem(f"no node gives {what}")
            elif isinstance(value, Tensor):
                self.findings.note(f"{what} is left out: it is a constant")
            elif isinstance(value.source, str):
                self.findings.note(f"{what} is left out: it is the input {quoted(value.source)} itself")
            elif value.source >= 0:
                found[name] = self.layers[value.source]
                if value.source in read:
                    self.findings.note(f"{what} is also read by other layers; ask for it by name: outputs=[...]")
        return found


def _node(proto: Any, opset: int) -> OnnxNode:
    inputs = [text_of(name) for name in proto.input]
    while inputs and not inputs[-1]:
        inputs.pop()
    domain = text_of(proto.domain)
    return OnnxNode(
        name=text_of(proto.name),
        op=text_of(proto.op_type),
        domain="" if domain == "ai.onnx" else domain,
        inputs=tuple(inputs),
        outputs=tuple(text_of(name) for name in proto.output),
        attributes={text_of(a.name): a for a in proto.attribute},
        opset=opset,
    )


def _live(nodes: Sequence[OnnxNode], outputs: Sequence[str]) -> tuple[list[OnnxNode], set[str]]:
    """Return the nodes on which an output depends, and the names of all values that they and the outputs read."""
    needed = {name for name in outputs if name}
    live = []
    for node in reversed(nodes):
        if needed.intersection(node.outputs):
            live.append(node)
            needed.update(name for name in node.inputs if name)
    live.reverse()
    return live, needed
