"""`export`: a network in the form of another framework. What is written appears complete or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import attrs

from cnnrt.arguments import path_from
from cnnrt.errors import CnnrtError, ExportFailure, InputError, NetFileError, Problem
from cnnrt.exporter import ExportedNetwork, Exporter
from cnnrt.graph_builder import build_graph
from cnnrt.layer import Shape
from cnnrt.loading import load_netfile
from cnnrt.plugins import PluginHost, plugin_host
from cnnrt.root_directory import root_directory as find_root
from cnnrt.shapes import infer_shapes
from netfile_spec.problems import nearest


@attrs.frozen
class Export:
    """What was written, by which exporter, and its notes."""

    target: Path
    exporter: str
    notes: tuple[str, ...]


def export(
    netfile: str | Path,
    target: str | Path,
    *,
    to: str,
    inputs: Mapping[str, Shape] | None = None,
    root_directory: str | Path | None = None,
    overwrite: bool = False,
    plugins: PluginHost | None = None,
) -> Export:
    """Write a network with the exporter named `to`: a file, or a folder, which must not exist unless `overwrite`.

    `inputs`: shapes of one item of each input, without the batch, where the NetFile states none. Raises ExportFailure
    with everything that the format cannot express, NetFileError, ParameterFileError, or InputError.
    """
    host = plugins or plugin_host()
    exporter = _exporter(to, host)
    file, path = path_from("netfile", netfile), path_from("target", target)
    if path.exists() and (not overwrite or path.is_dir() != (not exporter.suffix)):
        kind = "file" if exporter.suffix else "folder"
        raise InputError(f"{path}: exists; choose another {kind}, or overwrite it (--overwrite)")
    network = _network(file, inputs or {}, root_directory, host)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent))
        try:
            written = beside / path.name
            if not exporter.suffix:
                written.mkdir()
            notes = tuple(exporter.write(network, written))
            if path.is_dir():
                shutil.rmtree(path)
            written.replace(path)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    except OSError as error:
        raise CnnrtError(f"{path}: cannot be written: {error.strerror or error}") from error
    return Export(path, exporter.name, notes)


def _exporter(name: str, host: PluginHost) -> Exporter:
    exporters = host.exporters()
    if not isinstance(name, str):
        raise InputError(f"to: expected the name of an exporter ({', '.join(exporters)}), got {name!r:.200}")
    found = exporters.find(name)
    if found is None:
        raise InputError(f"no exporter is named {name!r}; {nearest(name, exporters) or 'none is installed'}")
    return found


def _network(
    file: Path, stated: Mapping[str, Shape], root_directory: str | Path | None, host: PluginHost
) -> ExportedNetwork:
    netfile = load_netfile(file, host)
    graph = build_graph(netfile, find_root(netfile, root_directory), host)
    names = [given.name for given in graph.inputs]
    for name in stated:
        if name not in names:
            raise InputError(f"{graph.file}: no input is named {name!r}; {nearest(name, names)}")
    shapes = {given.name: stated.get(given.name, given.shape) for given in graph.inputs}
    missing = [Problem(f"input {name!r} has no shape") for name, shape in shapes.items() if shape is None]
    if missing:
        hint = "state it: --input 1,CHANNELS,ROWS,COLUMNS, or shape: [...] in its block"
        raise ExportFailure([attrs.evolve(p, hint=hint) for p in missing], file=graph.file)
    fixed = next((given.batch for given in graph.inputs if given.batch is not None), None)
    items = {name: tuple(shape or ()) for name, shape in shapes.items()}
    one = infer_shapes(graph, {name: (fixed or 1, *shape) for name, shape in items.items()})
    more = None
    if not fixed:
        with suppress(NetFileError):  # some networks take one item only: what is written then does so too
            more = infer_shapes(graph, {name: (2, *shape) for name, shape in items.items()})
    return ExportedNetwork(netfile, graph, one, more)
