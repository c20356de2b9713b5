"""A graph and its weights as an ImportedModel, or everything that stands in the way."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import attrs

from cnnrt.findings import Findings
from cnnrt.importer import ImportedModel
from cnnrt.lazy_weights import LazyWeights
from cnnrt_import_onnx.graph import ReadGraph, read_graph
from cnnrt_import_onnx.image_metadata import with_metadata
from cnnrt_import_onnx.inputs import GraphInput
from cnnrt_import_onnx.layer_list import FoundLayer
from cnnrt_import_onnx.names import Names
from cnnrt_import_onnx.tensors import Tensor
from cnnrt_import_onnx.values import Flow
from netfile_spec import InputBlock, LayerBlock, NetFile
from netfile_spec.limits import MAX_BLOCKS
from netfile_spec.problems import quoted

_LEAST_WEIGHTS = 1 << 30
"""Bytes of weights that any model may have; those with more may have eight times what their file holds."""


@attrs.frozen(eq=False)
class Converted:
    """A model, and what became of its inputs and outputs.

    `inputs`: the input blocks by the model's own names. `outputs`: by the model's names, the name of a value of the
    network (an input's, where an output is one), or a constant.
    """

    model: ImportedModel
    inputs: Mapping[str, InputBlock]
    outputs: Mapping[str, str | Tensor]


def convert(model: Any, path: Path) -> Converted:
    """Return the model of a ModelProto read from `path`; raises ImportFailure with every problem."""
    findings = Findings(str(path))
    graph = read_graph(model, path.parent, findings)
    if len(graph.layers) + len(graph.inputs) > MAX_BLOCKS:
        findings.problem(f"{len(graph.layers):,} layers", expected=f"at most {MAX_BLOCKS:,}")
    _check_weights(graph, findings)
    findings.raise_if_any()
    names = Names(findings)
    inputs = {given.name: _block(given, names.unique(given.name, "input"), graph.free) for given in graph.inputs}
    inputs = with_metadata(inputs, model, findings)
    layers = [names.unique(_wanted(layer), layer.op.lower()) for layer in graph.layers]
    blocks, values = _blocks(graph, inputs, layers, names)
    netfile = NetFile(
        layers=blocks,
        inputs=list(inputs.values()),
        netfile_version=1,
        name=graph.name or None,
    )
    outputs = {
        name: value if isinstance(value, Tensor) else _name(value, inputs, values)
        for name, value in graph.outputs.items()
    }
    _note_outputs(graph, outputs, findings)
    return Converted(ImportedModel(netfile, _parameters(graph, layers), findings.notes), inputs, outputs)


def _check_weights(graph: ReadGraph, findings: Findings) -> None:
    """Refuse weights that are made of next to nothing: constants of a shape alone, used again and again."""
    total, stored = 0, 0
    seen: set[Hashable] = set()
    for layer in graph.layers:
        for weight in layer.made.weights.values():
            if weight.key not in seen:
                seen.add(weight.key)
                total += 4 * math.prod(weight.shape)
                stored += weight.stored
    if total > max(_LEAST_WEIGHTS, 8 * stored):
        findings.problem(f"{total:,} bytes of weights, made of {stored:,} bytes of constants")


def _block(given: GraphInput, name: str, free: bool) -> InputBlock:
    if free:
        known = given.item is not None and None not in given.item
        return InputBlock(name, tuple(n or 0 for n in given.item or ()) if known else None)
    shape = tuple(n or 1 for n in given.shape or ())
    if len(shape) < 2:
        return InputBlock(name, shape or (1,), batch=1)
    return InputBlock(name, shape[1:], batch=shape[0])


def _wanted(layer: FoundLayer) -> str:
    return layer.name or next((name for names in layer.values for name in names), "")


def _blocks(
    graph: ReadGraph, inputs: Mapping[str, InputBlock], layers: list[str], names: Names
) -> tuple[list[LayerBlock], dict[tuple[int, int], str]]:
    """Return the layer blocks, and what each output of each layer is called.

    A bottom is stated only where it is not simply the previous layer.
    """
    blocks = []
    values: dict[tuple[int, int], str] = {}
    wanted: dict[int, list[str]] = {}
    for name, value in graph.outputs.items():
        if isinstance(value, Flow) and isinstance(value.source, int):
            wanted.setdefault(value.source, []).append(name)
    previous = next((block.name for block in inputs.values()), "")
    for index, (layer, name) in enumerate(zip(graph.layers, layers, strict=True)):
        bottoms = [_name(flow, inputs, values) for flow in layer.inputs]
        tops: str | tuple[str, ...] | None
        if layer.made.outputs == 1:
            values[index, 0] = name
            tops = _top(layer, name, wanted.get(index, []), names)
        else:
            tops = tuple(_own_top(name, called, i, names) for i, called in enumerate(layer.values))
            values |= {(index, i): top for i, top in enumerate(tops)}
        stated = None if bottoms == [previous] or not bottoms else bottoms
        blocks.append(LayerBlock(layer.made.type, name, stated, tops, keys=layer.made.keys))
        previous = values[index, 0]
    return blocks, values


def _name(flow: Flow, inputs: Mapping[str, InputBlock], values: Mapping[tuple[int, int], str]) -> str:
    return values[flow.source, flow.output] if isinstance(flow.source, int) else inputs[flow.source].name


def _own_top(name: str, called: list[str], number: int, names: Names) -> str:
    """Return the name of one of several values of a layer; one may be called like the layer."""
    return name if called[:1] == [name] else names.unique(called[0] if called else "", f"{name}_{number}")


def _top(layer: FoundLayer, name: str, outputs: list[str], names: Names) -> str | None:
    """Return the name of the value that the layer gives, where it is another one: one of `outputs` before others."""
    wanted = dict.fromkeys((*outputs, *layer.values[0]))
    top = None if name in outputs else next((value for value in wanted if value != name and names.claim(value)), None)
    for value in outputs:
        if value not in (name, top):
            names.findings.note(f"the output {quoted(value)} is called {quoted(name)} here")
    return top


def _note_outputs(graph: ReadGraph, outputs: Mapping[str, str | Tensor], findings: Findings) -> None:
    read = {(flow.source, flow.output) for layer in graph.layers for flow in layer.inputs}
    for name, value in graph.outputs.items():
        what = f"the output {quoted(name)}"
        if isinstance(value, Tensor):
            findings.note(f"{what} is left out: it is a constant")
        elif isinstance(value.source, str):
            findings.note(f"{what} is left out: it is the input {quoted(value.source)} itself")
        elif (value.source, value.output) in read:
            findings.note(f"{what} is also read by other layers; ask for it by name: outputs=[...]")


def _parameters(graph: ReadGraph, layers: list[str]) -> dict[str, LazyWeights]:
    """Return the weights by layer; layers with the very same constants share them, and so their parameter file."""
    alike: dict[Hashable, LazyWeights] = {}
    parameters = {}
    for layer, name in zip(graph.layers, layers, strict=True):
        weights = layer.made.weights
        if weights:
            key = tuple((weight, w.key) for weight, w in weights.items())
            makers = {weight: w.make for weight, w in weights.items()}
            parameters[name] = alike.setdefault(key, LazyWeights(makers))
    return parameters
