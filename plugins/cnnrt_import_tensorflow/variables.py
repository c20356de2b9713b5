"""Variables of a SavedModel: which of the stored ones belongs to which node.

The graph says so itself, in the part that restores a checkpoint: RestoreV2 reads the tensors whose names it is given,
and each is assigned to its variable.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import attrs

from cnnrt.channels_last.constants import Constant
from cnnrt.findings import Findings
from cnnrt.protobuf_wire import MalformedMessage
from cnnrt_import_tensorflow.messages import NodeDef
from cnnrt_import_tensorflow.nodes import Node
from cnnrt_import_tensorflow.tensor_bundle import TensorBundle, UnusableVariable
from netfile_spec.problems import quoted

VARIABLES = frozenset({"VarHandleOp", "Variable", "VariableV2"})
_ASSIGNED = frozenset({"Assign", "AssignVariableOp"})
_PASSED_ON = frozenset({"Identity", "Cast"})


@attrs.frozen(eq=False)
class Variables:
    """The variables of a graph: `keys` says under which name each node's values are stored."""

    bundle: TensorBundle
    keys: Mapping[str, str]
    findings: Findings

    def constant(self, node: Node) -> Constant | None:
        """Return a variable's values; None, and a problem, where they are not there or damaged."""
        key = self.keys.get(node.name, node.text("shared_name") or node.name)
        if key not in self.bundle:
            self.findings.problem(f"{node.place.title}: no variable is stored for it", hint="is `variables` complete?")
            return None
        try:
            return self.bundle.constant(key, node.name)
        except UnusableVariable as error:
            self.findings.problem(f"{node.place.title}: its variable {quoted(key)} cannot be read: {error}")
            return None


def find_variables(model: Path, nodes: Mapping[str, NodeDef], findings: Findings) -> Variables | None:
    """Return the variables in the folder beside a saved_model.pb; None where there is no such folder."""
    index = model.parent / "variables" / "variables.index"
    if not index.is_file():
        return None
    try:
        bundle = TensorBundle(index)
    except (MalformedMessage, OSError) as error:
        findings.problem(f"{index.parent.name}/{index.name} cannot be read: {error}")
        return None
    return Variables(bundle, _stored_names(nodes, findings), findings)


def _stored_names(nodes: Mapping[str, NodeDef], findings: Findings) -> dict[str, str]:
    """Return under which name each variable's node is stored."""
    names: dict[str, str] = {}
    lists: dict[str, list[str]] = {}
    for node in nodes.values():
        if node.op not in _ASSIGNED or len(node.inputs) < 2:
            continue
        target, (giver, number) = _split(node.inputs[0])[0], _split(node.inputs[1])
        for _ in range(10):
            found = nodes.get(giver)
            if found is None or found.op not in _PASSED_ON or not found.inputs:
                break
            giver, number = _split(found.inputs[0])
        restored = nodes.get(giver)
        if restored is None or restored.op != "RestoreV2" or len(restored.inputs) < 2:
            continue
        if giver not in lists:
            lists[giver] = _texts(nodes.get(_split(restored.inputs[1])[0]), findings)
        if number < len(lists[giver]):
            names[target] = lists[giver][number]
    return names


def _texts(node: NodeDef | None, findings: Findings) -> list[str]:
    constant = Node(node, findings).tensor("value") if node is not None and node.op == "Const" else None
    return [str(t) for t in constant.read()] if constant is not None and constant.kind == "text" else []


def _split(tensor: str) -> tuple[str, int]:
    node, colon, number = tensor.rpartition(":")
    return (node, int(number)) if colon and number.isascii() and number.isdigit() and len(number) < 9 else (tensor, 0)
