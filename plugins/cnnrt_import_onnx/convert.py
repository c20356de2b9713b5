"""A graph and its weights as an ImportedModel, or everything that stands in the way."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

from cnnrt.errors import ImportFailure
from cnnrt.importer import ImportedModel
from cnnrt_import_onnx.findings import Findings
from cnnrt_import_onnx.graph import FoundLayer, ReadGraph, read_graph
from cnnrt_import_onnx.inputs import GraphInput
from cnnrt_import_onnx.names import Names
from cnnrt_import_onnx.values import LayerWeights
from netfile_spec import InputBlock, LayerBlock, NetFile
from netfile_spec.limits import MAX_BLOCKS
from netfile_spec.problems import quoted


def convert(model: Any, path: Path) -> ImportedModel:
    """Return the model of a ModelProto read from `path`; raises ImportFailure with every problem."""
    findings = Findings()
    graph = read_graph(model, path.parent, findings)
    if len(graph.layers) + len(graph.inputs) > MAX_BLOCKS:
        findings.problem(f"{len(graph.layers):,} layers", expected=f"at most {MAX_BLOCKS:,}")
    if findings.problems:
        raise ImportFailure(findings.problems, file=str(path))
    names = Names(findings)
    inputs = {given.name: names.unique(given.name, "input") for given in graph.inputs}
    layers = [names.unique(layer.name or layer.values[0], layer.op.lower()) for layer in graph.layers]
    netfile = NetFile(
        layers=_blocks(graph, inputs, layers, names),
        inputs=[InputBlock(inputs[given.name], _stated_shape(given)) for given in graph.inputs],
        netfile_version=1,
        name=graph.name or None,
    )
    return ImportedModel(netfile, _parameters(graph, layers), tuple(findings.notes))


def _stated_shape(given: GraphInput) -> tuple[int, ...] | None:
    if given.item is None or None in given.item:
        return None
    return tuple(n for n in given.item if n is not None)


def _blocks(graph: ReadGraph, inputs: dict[str, str], layers: list[str], names: Names) -> list[LayerBlock]:
    """Return the layer blocks; a bottom is stated only where it is not simply the previous layer."""
    blocks = []
    outputs: dict[int, list[str]] = {}
    for value, giver in graph.outputs.items():
        outputs.setdefault(id(giver), []).append(value)
    previous = next(iter(inputs.values()), "")
    for layer, name in zip(graph.layers, layers, strict=True):
        bottoms = [layers[v.source] if isinstance(v.source, int) else inputs[v.source] for v in layer.made.inputs]
        blocks.append(
            LayerBlock(
                layer.made.type,
                name,
                None if bottoms == [previous] else bottoms,
                _top(layer, name, outputs.get(id(layer), []), names),
                keys=layer.made.keys,
            )
        )
        previous = name
    return blocks


def _top(layer: FoundLayer, name: str, outputs: list[str], names: Names) -> str | None:
    """Return the name of the value that the layer gives, where it is another one: one of `outputs` before others."""
    wanted = dict.fromkeys((*outputs, *layer.values))
    top = None if name in outputs else next((value for value in wanted if value != name and names.claim(value)), None)
    for value in outputs:
        if value not in (name, top):
            names.findings.note(f"the output {quoted(value)} is called {quoted(name)} here")
    return top


def _parameters(graph: ReadGraph, layers: list[str]) -> dict[str, LayerWeights]:
    """Return the weights by layer; layers with the very same constants share them, and so their parameter file."""
    alike: dict[Hashable, LayerWeights] = {}
    parameters = {}
    for layer, name in zip(graph.layers, layers, strict=True):
        weights = layer.made.weights
        if weights:
            key = tuple((weight, w.key) for weight, w in weights.items())
            parameters[name] = alike.setdefault(key, LayerWeights(weights))
    return parameters
