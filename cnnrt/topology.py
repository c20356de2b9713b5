"""`--topology`: the layers of a NetFile and the weights of a file that holds nothing else, put together.

The NetFile's layers may leave out `parameters_file`. Tensors with names go to the layers of those names, if every layer
that has weights finds its own; otherwise, and where tensors have no names, the order decides. Shapes are checked
layer by layer, and everything that does not fit is reported at once.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import attrs
import numpy as np

from cnnrt.errors import ImportFailure, InputError
from cnnrt.graph_builder import build_graph
from cnnrt.importer import ImportedModel
from cnnrt.layer import Array, Layer
from cnnrt.loading import load_netfile
from cnnrt.loose_weights import LooseTensor, LooseWeights, StoredWeight
from cnnrt.plugins import PluginHost
from cnnrt.topology_match import Match, match_tensors
from cnnrt.topology_shapes import shape_problems
from netfile_spec import NetFile, read_parameters, resolve_inside


def put_together(
    weights: LooseWeights, topology: Path, file: str, *, flip_kernels: bool | None, host: PluginHost
) -> ImportedModel:
    """Return the topology's layers with their weights; `file` is what messages call the file of the weights.

    Raises NetFileError for the topology alone, ImportFailure with every layer and tensor that do not fit, InputError
    where kernels are to be flipped that never are.
    """
    flip, notes = _flipping(weights, flip_kernels)
    netfile = load_netfile(topology, host, weights_follow=True)
    graph = build_graph(netfile, topology.parent, host, weights_follow=True)
    stated = {block.name for block in netfile.layers if block.parameters_file}
    nodes = [node for node in graph.nodes if node.layer.weights and node.name not in stated]
    match = match_tensors(nodes, weights)
    problems = [*match.problems, *shape_problems(graph, match.shapes)]
    if problems:
        raise ImportFailure(problems, file=f"{file}, with {topology}", source=netfile.source)
    parameters: dict[str, Mapping[str, Array]] = {
        node.name: _MatchedWeights(node.layer, match, node.name, flip) for node in nodes if match.tensors[node.name]
    }
    for block in netfile.layers:
        if block.parameters_file:
            parameters[block.name] = read_parameters(resolve_inside(topology.parent, block.parameters_file))
    return ImportedModel(_without_root(netfile), parameters, (*weights.notes, *notes, *match.notes))


def copy_named_files(netfile: NetFile, source: Path, folder: Path) -> None:
    """Copy what a topology names besides parameters (labels, mean images) into the folder that is written."""
    named = [block.mean_file for block in netfile.inputs if block.mean_file]
    if isinstance(netfile.labels, str):
        named.append(netfile.labels)
    for name in dict.fromkeys(named):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(resolve_inside(source, name), target)


def _flipping(weights: LooseWeights, asked: bool | None) -> tuple[bool, tuple[str, ...]]:
    if weights.flip_kernels is None:
        if asked is not None:
            raise InputError("kernels of these files are never mirrored: leave out --[no-]flip-kernels")
        return False, ()
    if asked is not None:
        return asked, (f"kernels are {'flipped' if asked else 'not flipped'}, as was asked for",)
    done, other = ("flipped", "--no-flip-kernels") if weights.flip_kernels else ("not flipped", "--flip-kernels")
    reason = f" ({weights.flip_reason})" if weights.flip_reason else ""
    return weights.flip_kernels, (f"kernels are {done}, which is the default here{reason}; {other} for the opposite",)


def _without_root(netfile: NetFile) -> NetFile:
    layers = [attrs.evolve(block, parameters_file=None) for block in netfile.layers]
    return attrs.evolve(netfile, layers=layers, root_directory=None, netfile_version=netfile.netfile_version or 1)


class _MatchedWeights(Mapping[str, Array]):
    """The weights of one layer; each look-up reads the tensor anew, so only one is in memory at a time."""

    def __init__(self, layer: Layer, match: Match, name: str, flip: bool) -> None:
        self._layer = layer
        self._tensors = match.tensors[name]
        self._flip = flip

    def __getitem__(self, weight: str) -> Array:
        stored, tensor = self._tensors[weight]
        return _converted(stored, tensor, self._layer, self._flip)

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)


def _converted(stored: StoredWeight, tensor: LooseTensor, layer: Layer, flip: bool) -> Array:
    """Return a tensor as the layer's weight: axes, then mirrored kernels, then values; float32, contiguous."""
    values = tensor.read()
    if stored.axes is not None and len(stored.axes) == values.ndim:
        values = values.transpose(stored.axes)
    if flip and values.ndim == 4:
        values = values[:, :, ::-1, ::-1]
    with np.errstate(all="ignore"):  # what is beyond float32 is infinite
        if stored.values is not None:
            values = stored.values(values.astype(np.float64), layer)
        return np.ascontiguousarray(values, np.float32)
