"""A whole model in one folder: `net.netfile`, and a parameter file for each layer that has parameters."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import attrs
from numpy.typing import NDArray

from netfile_spec.errors import ParameterFileError
from netfile_spec.model import NetFile
from netfile_spec.parameters import Layout, read_parameters, write_parameters
from netfile_spec.parameters.inside_root import resolve_inside
from netfile_spec.parameters.written_beside import sync_folder
from netfile_spec.reader import read_netfile
from netfile_spec.writer import format_netfile, write_netfile

NETFILE_NAME = "net.netfile"

Tensors = Mapping[str, NDArray[Any]]

_LONGEST_STEM = 100
# Names that Windows keeps for devices, with any extension.
_DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)


def write_model(
    folder: str | Path, netfile: NetFile, parameters: Mapping[str, Tensors], *, layout: Layout = "cnnrt"
) -> Path:
    """Write a model from arrays and return the path of its NetFile, `folder/net.netfile`.

    `parameters`: for each layer's name its tensors by name, in the order weight, bias; a layer without parameters may
    be left out or have none. Each other layer gets a file named after it (made safe and unique), which the NetFile as
    written states as its `parameters_file`; layers that share the very same mapping share the file. `root_directory` is
    left out, since everything lies beside the NetFile. Files that the NetFile names besides (labels, `mean_file`) are
    the caller's to put there.

    The NetFile is written last, and nothing of the folder changes before all parameter files are on the disk.

    Raises ParameterFileError for parameters of an unknown layer, a layer that names a parameter file without
    parameters given, what the layout cannot hold, and where writing fails; NetFileError as `write_netfile` does.
    """
    folder = Path(folder)
    parameters = {name: tensors for name, tensors in parameters.items() if tensors}
    _check_layers(folder, netfile, parameters)
    files = _file_names(netfile, parameters)
    layers = tuple(attrs.evolve(layer, parameters_file=files.get(layer.name)) for layer in netfile.layers)
    written = attrs.evolve(netfile, layers=layers, root_directory=_own_folder(netfile.root_directory))
    format_netfile(written)  # finds what cannot be written while nothing has changed yet
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".writing-", dir=folder) as staging:
            for layer, file in files.items():
                staged = Path(staging, file)
                if not staged.exists():
                    _write_layer(layer, staged, parameters[layer], layout)
            for file in dict.fromkeys(files.values()):
                Path(staging, file).replace(folder / file)
        sync_folder(folder)
    except OSError as error:
        raise ParameterFileError(f"{folder}: the model cannot be written: {error.strerror or error}") from error
    path = folder / NETFILE_NAME
    write_netfile(path, written)
    return path


def read_model(path: str | Path) -> tuple[NetFile, dict[str, dict[str, NDArray[Any]]]]:
    """Return what a NetFile says, and all tensors of its layers: by layer name, then by tensor name.

    Layer types and keys are not checked (no vocabulary). A relative `root_directory` is taken from the NetFile's own
    folder; for an absolute one, as CNNdroid's files state, that folder itself is used. Layers that name the same
    parameter file get the same arrays.

    Raises NetFileError, and ParameterFileError for a parameter file outside the folder, missing, or damaged.
    """
    path = Path(path)
    netfile = read_netfile(path)
    prefix = _relative_root(netfile.root_directory)
    files: dict[Path, dict[str, NDArray[Any]]] = {}
    parameters = {}
    for layer in netfile.layers:
        if layer.parameters_file is None:
            continue
        try:
            file = resolve_inside(path.parent, prefix + layer.parameters_file)
            if file not in files:
                files[file] = read_parameters(file)
        except ParameterFileError as error:
            raise ParameterFileError(f"layer {layer.name!r}: {error}") from error
        parameters[layer.name] = files[file]
    return netfile, parameters


def _write_layer(layer: str, path: Path, tensors: Tensors, layout: Layout) -> None:
    try:
        write_parameters(path, tensors, layout=layout)
    except ParameterFileError as error:
        # The error should name the file that was meant, not the folder it was being written in.
        message = str(error).replace(str(path), str(path.parent.parent / path.name))
        raise ParameterFileError(f"layer {layer!r}: {message}") from error


def _check_layers(folder: Path, netfile: NetFile, parameters: Mapping[str, Tensors]) -> None:
    names = [layer.name for layer in netfile.layers]
    if unknown := [name for name in parameters if name not in names]:
        raise ParameterFileError(
            f"{folder}: parameters for {_listed(unknown)}, but the NetFile has no such layer; it has {_listed(names)}"
        )
    dangling = [layer.name for layer in netfile.layers if layer.parameters_file and layer.name not in parameters]
    if dangling:
        raise ParameterFileError(
            f"{folder}: {_listed(dangling)} should have a parameters_file, but no parameters were given for it"
        )


def _file_names(netfile: NetFile, parameters: Mapping[str, Tensors]) -> dict[str, str]:
    """Return each layer's parameter file; no two names differ by case alone, which some file systems ignore."""
    taken = {name.casefold() for name in _other_files(netfile)}
    # By the mapping, not by the arrays in it: a mapping may read its arrays anew at each look-up.
    by_mapping: dict[int, str] = {}
    files = {}
    for layer in netfile.layers:
        if layer.name not in parameters:
            continue
        mapping = id(parameters[layer.name])
        if mapping not in by_mapping:
            by_mapping[mapping] = _unused(_safe_stem(layer.name), taken)
        files[layer.name] = by_mapping[mapping]
    return files


def _other_files(netfile: NetFile) -> Iterable[str]:
    for block in netfile.inputs:
        if block.mean_file:
            yield block.mean_file
    if isinstance(netfile.labels, str):
        yield netfile.labels


def _safe_stem(name: str) -> str:
    stem = re.sub(r"[^A-Za-z0-9._-]+", "_", name)[:_LONGEST_STEM].strip(".") or "layer"
    return f"_{stem}" if _DEVICES.fullmatch(stem) or stem.startswith("-") else stem


def _unused(stem: str, taken: set[str]) -> str:
    file, number = f"{stem}.msg", 2
    while file.casefold() in taken:
        file, number = f"{stem}-{number}.msg", number + 1
    taken.add(file.casefold())
    return file


def _own_folder(root_directory: str | None) -> str | None:
    """Return the root directory if it is the NetFile's own folder; where anything else is stated, leave it out."""
    if root_directory and PurePosixPath(root_directory) == PurePosixPath("."):
        return root_directory
    return None


def _relative_root(root_directory: str | None) -> str:
    if not root_directory or root_directory.startswith(("/", "\\")) or re.match(r"[A-Za-z]:", root_directory):
        return ""
    return root_directory.rstrip("/") + "/"


def _listed(names: Iterable[str]) -> str:
    shown = [repr(name) for name in names]
    return ", ".join(shown[:10]) + (", ..." if len(shown) > 10 else "")
