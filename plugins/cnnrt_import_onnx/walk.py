"""The walk over a graph: node after node becomes layers, a constant, or another name of what is there already.

Only nodes on which an output depends are looked at. A node that is a problem does not stop the walk; what depends on
it is taken as it is, so that every cause is named once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cnnrt.findings import Findings
from cnnrt_import_onnx.constant_node import constant_of
from cnnrt_import_onnx.folding import FOLDED, LEAST_BUDGET, Budget, fold
from cnnrt_import_onnx.inputs import GraphInput, graph_inputs
from cnnrt_import_onnx.layer_list import LayerList
from cnnrt_import_onnx.live_nodes import live_nodes, names_read
from cnnrt_import_onnx.model_file import opset_of
from cnnrt_import_onnx.model_text import text_of
from cnnrt_import_onnx.nodes import OnnxNode
from cnnrt_import_onnx.places_of_maxima import settle_places
from cnnrt_import_onnx.product_rules import with_bias
from cnnrt_import_onnx.shape_rules import to_shape
from cnnrt_import_onnx.supported import RULES, SUPPORTED, advice
from cnnrt_import_onnx.tensors import MalformedTensor, Tensor, read_tensor
from cnnrt_import_onnx.values import Biased, Flow, Inputs, Made, Outcome, Same, Several
from netfile_spec.problems import quoted

_MOST_NAMED = 12
_DEEPEST = 8
"""Levels of branches inside branches."""


class Walk:
    """The table of values while the nodes go by.

    Without `sizes` the network is read for any number of images; with them, for these inputs and no others.
    """

    def __init__(self, model: Any, folder: Path, findings: Findings, sizes: Sequence[GraphInput] | None = None) -> None:
        self.findings = findings
        self.folder = folder
        self.model = model
        self.opset = opset_of(model)
        self.output_names = [text_of(o.name) for o in model.graph.output]
        self.live, needed = live_nodes(model.graph.node, self.output_names)
        self.uses = Counter(self.output_names)
        self.uses.update(name for proto in self.live for name in names_read(proto))
        self.written = {text_of(name) for proto in model.graph.node for name in proto.output}
        self.values: dict[str, Flow | Tensor] = {}
        self.layers = LayerList(findings)
        self.unsupported: dict[tuple[str, str], list[OnnxNode]] = {}
        self.depth = 0
        constants = self._read_initializers(model.graph, needed)
        stored = sum(value.count for value in self.values.values() if isinstance(value, Tensor))
        self.budget = Budget(max(LEAST_BUDGET, 4 * 8 * stored))
        self.inputs: Sequence[GraphInput] = sizes or graph_inputs(model.graph, constants, needed, findings)
        batches = {given.batch for given in self.inputs}
        self.batch = batches.pop() if len(batches) == 1 else None
        for given in self.inputs:
            self.values[given.name] = self._input(given, free=sizes is None)

    def _input(self, given: GraphInput, *, free: bool) -> Flow:
        if free:
            return Flow(given.name, None if given.shape is None else (None, *given.shape[1:]))
        shape = tuple(n or 1 for n in given.shape or ())
        if len(shape) > 1:
            return Flow(given.name, shape, free=False)
        # The network gets it with a batch of 1 in front, as it gets everything.
        whole = to_shape(Flow(given.name, (1, *(shape or (1,))), free=False), shape)
        if isinstance(whole, Same):
            return Flow(given.name, shape, free=False)
        (flow,) = self.layers.place(whole, f"the input {quoted(given.name)}", f"{given.name}_shape", "Input", [""])
        return flow

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

    def take_all(self) -> None:
        """Take all nodes on which an output depends; findings name what is not supported."""
        for proto in self.live:
            self.take(proto)
        settle_places(self.layers, self.values, self.output_names, self.findings)
        self._name_unsupported()

    def take(self, proto: Any) -> None:
        """Take one node: afterwards its outputs are in the table."""
        node = self._node(proto)
        inputs = self._inputs(node)
        outcome = None
        if self._well_formed(node, inputs):
            before = len(self.findings.problems)
            outcome = self._outcome(node, inputs)
            unsaid = outcome is None and len(self.findings.problems) == before
            if unsaid and not any(x is not None and x.failed for x in inputs):
                self.findings.problem(f"{node.title}: its inputs and attributes do not go together")
        results = self._placed(node, outcome)
        for number, name in enumerate(node.outputs):
            if name and name in self.values:
                self.findings.problem(f"{node.title}: the value {quoted(name)} is there already")
            if name and outcome is not None and number >= len(results):
                self.findings.problem(f"{node.title}: it gives no output {quoted(name)}")
            if name:
                self.values[name] = results[number] if number < len(results) else Flow(-1, failed=True)

    def _node(self, proto: Any) -> OnnxNode:
        inputs = [text_of(name) for name in proto.input]
        while inputs and not inputs[-1]:
            inputs.pop()
        domain = text_of(proto.domain)
        return OnnxNode(
            name=text_of(proto.name),
            op=text_of(proto.op_type),
            domain="" if domain == "ai.onnx" else domain,
            inputs=tuple(inputs),
            outputs=tuple(name if self.uses[name] else "" for name in map(text_of, proto.output)),
            attributes={text_of(a.name): a for a in proto.attribute},
            opset=self.opset,
            batch=self.batch,
        )

    def _inputs(self, node: OnnxNode) -> Inputs:
        found: list[Flow | Tensor | None] = []
        for name in node.inputs:
            if name and name not in self.values:
                hint = "nodes must be in the order in which they are computed" if name in self.written else ""
                self.findings.problem(f"{node.title}: nothing before it gives its input {quoted(name)}", hint=hint)
                self.values[name] = Flow(-1, failed=True)
            found.append(self.values[name] if name else None)
        return tuple(found)

    def _well_formed(self, node: OnnxNode, inputs: Inputs) -> bool:
        """Tell whether the node is of a supported kind and has as many inputs and outputs as it should."""
        if not node.domain and _foldable(node, inputs):
            return True
        if node.domain or node.op not in SUPPORTED:
            if node.domain or node.op not in FOLDED or not any(x is not None and x.failed for x in inputs):
                self.unsupported.setdefault((node.op, node.domain), []).append(node)
            return False
        rule = RULES.get(node.op)
        if rule is None:
            return True
        count, least, most = len(node.inputs), rule.least, rule.most
        if not (least <= count and (most is None or count <= most)):
            wanted = f"{least}" if most == least else f"at least {least}" if most is None else f"{least} to {most}"
            self.findings.problem(f"{node.title}: {count} inputs", expected=wanted)
            return False
        extra = [name for name in node.outputs[rule.outputs :] if name] if rule.outputs is not None else []
        if extra:
            self.findings.problem(
                f"{node.title}: its output {quoted(extra[0])} is used", expected="the first output only"
            )
            return False
        for name in node.attributes:
            if name not in rule.attributes:
                self.findings.note(f"{node.title}: the attribute {quoted(name)} is unknown and was ignored")
        return True

    def _outcome(self, node: OnnxNode, inputs: Inputs) -> Outcome:
        if _foldable(node, inputs):
            folded = fold(node, [x for x in inputs if not isinstance(x, Flow)], self.findings, self.budget)
            return None if folded is None else Several(tuple(Same(tensor) for tensor in folded))
        match node.op:
            case "Constant":
                return self._constant(node)
            case "If":
                return self._chosen(node, inputs)
            case "Add":
                if (biased := self._biased(node, inputs)) is not None:
                    return biased
        rule = RULES[node.op]
        left_out = (None,) * ((rule.most or 0) - len(inputs))
        return rule.convert(node, (*inputs, *left_out), self.findings)

    def _biased(self, node: OnnxNode, inputs: Inputs) -> Biased | None:
        """Return a constant as the bias of the layer before, if it is one and nobody else reads that layer."""
        for value, added in (inputs, inputs[::-1]):
            if not isinstance(value, Flow) or not isinstance(value.source, int) or value.failed:
                continue
            if isinstance(added, Tensor) and added.batch is None:
                layer = self.layers.layers[value.source]
                only_reader = all(self.uses[name] == 1 and name not in self.output_names for name in layer.values[0])
                if layer.made.type in ("Convolution", "FullyConnected") and only_reader and layer.values[0]:
                    made = with_bias(node, layer.made, added, self.findings, quiet=True)
                    return None if made is None else Biased(value.source, made)
        return None

    def _constant(self, node: OnnxNode) -> Same | None:
        constant = constant_of(node, self.findings)
        if constant is None:
            return None
        return Same(constant if isinstance(constant, Tensor) else self._tensor(constant, node.title, node.outputs[0]))

    def _chosen(self, node: OnnxNode, inputs: Inputs) -> Several | None:
        """Take the nodes of the branch that a constant condition chooses."""
        condition = inputs[0] if len(inputs) == 1 else None
        if not isinstance(condition, Tensor) or condition.count != 1 or self.depth >= _DEEPEST:
            if condition is None or not condition.failed:
                hint = "export the model traced, with its choices made"
                self.findings.problem(f"{node.title}: its condition is computed while the model runs", hint=hint)
            return None
        branch = node.graph("then_branch" if bool(condition.array().reshape(())) else "else_branch", self.findings)
        if branch is None:
            return None
        outer = set(self.values)
        names = [text_of(o.name) for o in branch.output]
        inner, needed = live_nodes(branch.node, names)
        self.uses.update(names)
        self.depth += 1
        self._read_initializers(branch, needed)
        for proto in inner:
            self.take(proto)
        self.depth -= 1
        results = [self.values.get(name) for name in names]
        for name in set(self.values) - outer:
            del self.values[name]
        if None in results:
            self.findings.problem(f"{node.title}: its branch does not give its outputs")
            return None
        return Several(tuple(Same(value) for value in results if value is not None))

    def _placed(self, node: OnnxNode, outcome: Outcome) -> list[Flow | Tensor]:
        """Put what the node became into the list of layers, and return what its outputs are now."""
        match outcome:
            case Several(parts):
                return [
                    Flow(-1, failed=True) if part is None else self._placed_one(node, part, name, number)[0]
                    for number, (part, name) in enumerate(zip(parts, node.outputs, strict=False))
                ]
            case Biased(index, made):
                # The value before the addition is gone, and its name with it.
                layer = self.layers.layers[index]
                layer.made, layer.values = made, ([node.outputs[0]],)
                return list(self.layers.outputs_of(index, node.title))
            case None:
                return []
            case _:
                return self._placed_one(node, outcome, node.outputs[0] if node.outputs else "", 0)

    def _placed_one(self, node: OnnxNode, part: Made | Same, output: str, number: int) -> list[Flow | Tensor]:
        if isinstance(part, Same):
            value = part.value
            if isinstance(value, Flow) and isinstance(value.source, int) and not value.failed and output:
                self.layers.layers[value.source].values[value.output].append(output)
            return [value]
        name = f"{node.name}_{number}" if number and node.name else node.name
        outputs = node.outputs if part.outputs > 1 else [output]
        return list(self.layers.place(part, node.title, name, node.op, outputs))

    def _name_unsupported(self) -> None:
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


def _foldable(node: OnnxNode, inputs: Inputs) -> bool:
    return node.op in FOLDED and bool(inputs) and not any(isinstance(x, Flow) for x in inputs)
