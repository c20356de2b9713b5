"""A graph as inputs, layers and outputs: for any number of images if it can be, else for the one that it states.

Most networks compute each image by itself, and whatever batch a model states, such a network takes any. Where a node
mixes the images (or moves them out of the first place), the network is read for the sizes that the model states, and
takes those alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from cnnrt.findings import Findings
from cnnrt_import_onnx.inputs import GraphInput, fixed, no_batch
from cnnrt_import_onnx.layer_list import FoundLayer
from cnnrt_import_onnx.model_text import text_of
from cnnrt_import_onnx.tensors import Tensor
from cnnrt_import_onnx.values import Flow
from cnnrt_import_onnx.walk import Walk
from netfile_spec.problems import quoted


@attrs.frozen(eq=False)
class ReadGraph:
    """The inputs that are needed, the layers in order, and the outputs by name: values, or constants.

    `free`: the network takes any number of images; otherwise only the sizes of its inputs.
    """

    name: str
    inputs: Sequence[GraphInput]
    layers: Sequence[FoundLayer]
    outputs: Mapping[str, Flow | Tensor]
    free: bool


def read_graph(model: Any, folder: Path, findings: Findings) -> ReadGraph:
    """Return the graph of a ModelProto whose external data lies in `folder`; findings say what stands in the way."""
    first = Findings(findings.file)
    walk = Walk(model, folder, first)
    broken = bool(first.problems)
    graph = _free(model, walk, first)
    sizes = fixed(walk.inputs) if first.problems and not broken else None
    if sizes is None:
        _hand_on(first, findings)
        return graph
    second = Findings(findings.file)
    graph = _read(model, Walk(model, folder, second, sizes), second, free=False)
    _hand_on(second, findings)
    if not second.problems:
        reason = first.problems[0]
        stated = " and ".join(quoted(given.name) for given in graph.inputs)
        findings.note(f"the network takes {stated} in one size only, batch included: {reason.message}")
    return graph


def _hand_on(found: Findings, findings: Findings) -> None:
    for problem in found.problems:
        findings.problem(problem.message, expected=problem.expected, hint=problem.hint)
    for note in found.notes:
        findings.note(note)


def _free(model: Any, walk: Walk, findings: Findings) -> ReadGraph:
    for given in walk.inputs:
        if given.shape is not None and len(given.shape) < 2:
            findings.problem(no_batch(given), expected="a batch: (images, channels, rows, columns)")
    batches = {given.batch for given in walk.inputs if given.batch is not None}
    if len(batches) > 1:
        shown = ", ".join(map(str, sorted(batches)))
        findings.problem(f"its inputs hold different numbers of images: {shown}", expected="the same")
    return _read(model, walk, findings, free=True)


def _read(model: Any, walk: Walk, findings: Findings, *, free: bool) -> ReadGraph:
    walk.take_all()
    outputs = _outputs(walk, findings)
    if walk.layers.layers and not walk.inputs:
        findings.problem("nothing that the model computes depends on an input", expected="a network that takes images")
    return ReadGraph(text_of(model.graph.name), walk.inputs, walk.layers.layers, outputs, free)


def _outputs(walk: Walk, findings: Findings) -> dict[str, Flow | Tensor]:
    """Return what each of the model's outputs is."""
    found: dict[str, Flow | Tensor] = {}
    if not walk.output_names:
        findings.problem("the model has no outputs")
    for name in walk.output_names:
        value = walk.values.get(name)
        if value is None:
            findings.problem(f"no node gives the output {quoted(name)}")
        elif isinstance(value, Tensor) and value.batch is not None:
            findings.problem(f"the output {quoted(name)} depends on the number of images")
        elif not value.failed:
            found[name] = value
    return found
