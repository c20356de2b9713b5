"""`convert`: from another framework's files to a folder with a NetFile and its parameter files.

The folder appears complete or not at all: it is written beside, read back as a Net, and then renamed.
"""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import attrs

from cnnrt.arguments import path_from, paths_from
from cnnrt.errors import CnnrtError, InputError
from cnnrt.importer import ImportedModel, Importer
from cnnrt.memory_plan import MIB
from cnnrt.plugins import PluginHost, plugin_host
from cnnrt.stated_preprocessing import PreprocessingOptions, state_preprocessing
from cnnrt.topology import copy_named_files, put_together
from netfile_spec import Layout, write_model, write_netfile

if TYPE_CHECKING:
    from cnnrt.net import Net

__all__ = ["Conversion", "PreprocessingOptions", "choose_importer", "convert"]

NETFILE = "net.netfile"
LEAST_CEILING = 60
CEILING_BATCH = 16
"""The allocated_ram that is written has room for a batch of this size, with a quarter to spare."""


@attrs.frozen
class Conversion:
    """What was converted: the NetFile written, the importer that read the model, its notes."""

    netfile: Path
    importer: str
    notes: tuple[str, ...]


def convert(
    files: str | Path | Sequence[str | Path],
    folder: str | Path,
    *,
    layout: Layout = "cnnrt",
    options: PreprocessingOptions | None = None,
    importer: str | None = None,
    topology: str | Path | None = None,
    flip_kernels: bool | None = None,
    overwrite: bool = False,
    trust: bool = False,
    plugins: PluginHost | None = None,
) -> Conversion:
    """Convert a model's files into `folder`, which must not exist, be empty, or be given up by `overwrite`.

    `layout`: of the parameter files, "cnnrt" or "cnndroid". `importer`: the name of the one to use; by default the
    one that recognises the files. `topology`: for files that hold weights alone, a NetFile with their layers, which may
    leave out `parameters_file`; `flip_kernels`: whether kernels are mirrored then, by default as the importer says.
    `trust`: the files may run code while they are read (programs of torch.export); nothing else is read in another way.
    Raises ImportFailure with everything that stands in the way, NetFileError for the topology, or InputError.
    """
    host = plugins or plugin_host()
    paths, target = paths_from("files", files), path_from("folder", folder)
    if layout not in get_args(Layout):
        raise InputError(f"layout: expected one of {', '.join(get_args(Layout))}, got {layout!r}")
    if not isinstance(options, PreprocessingOptions | None):
        raise InputError(f"options: expected cnnrt.stated_preprocessing.PreprocessingOptions, got {options!r:.200}")
    _check_paths(paths, target, overwrite)
    reader = choose_importer(paths, importer, host)
    if topology is not None:
        model = put_together(
            reader.read_weights(paths), Path(topology), str(paths[0]), flip_kernels=flip_kernels, host=host
        )
    elif flip_kernels is not None:
        raise InputError("whether kernels are flipped is asked only for weights without topology (--topology)")
    else:
        model = reader.read_trusted(paths) if trust else reader.read(paths)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".partial", dir=target.parent))
        try:
            if topology is not None:
                copy_named_files(model.netfile, Path(topology).parent, beside)
            _write(model, beside, layout, options or PreprocessingOptions(), host)
            _put_in_place(beside, target)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    except OSError as error:
        raise CnnrtError(f"{target}: cannot be written: {error.strerror or error}") from error
    return Conversion(target / NETFILE, reader.name, model.notes)


def choose_importer(files: Sequence[Path], name: str | None, host: PluginHost) -> Importer:
    """Return the importer of that name, or the only one that recognises the files."""
    importers = host.importers()
    if name is not None:
        found = importers.find(name)
        if found is None:
            raise InputError(f"no importer is named {name!r}; installed: {', '.join(sorted(importers)) or 'none'}")
        return found
    able = [i for i in importers.values() if i.recognises(files)]
    if len(able) == 1:
        return able[0]
    listed = ", ".join(str(f) for f in files)
    if able:
        names = ", ".join(i.name for i in able)
        raise InputError(f"{listed}: several importers recognise this ({names}): name one with --importer")
    if len(files) == 1 and files[0].suffix.lower() == ".netfile":
        raise InputError(f"{listed}: is a NetFile, which needs no conversion: cnnrt show {listed}")
    known = "".join(f"\n    {i.name}: {i.description}" for i in importers.values())
    raise InputError(f"{listed}: no installed importer recognises this; installed:{known or ' none'}")


def _why_no_file(path: Path) -> str:
    if not path.exists():
        return "does not exist"
    if not path.is_dir():
        return "is not a regular file"
    graph = path / "saved_model.pb"
    return f"is a folder; name the model's files in it{f', such as {graph}' if graph.is_file() else ''}"


def _check_paths(files: Sequence[Path], target: Path, overwrite: bool) -> None:
    if not files:
        raise InputError("no file to convert was named")
    for file in files:
        if not file.is_file():
            raise InputError(f"{file}: {_why_no_file(file)}")
    if target.exists() and not target.is_dir():
        raise InputError(f"{target}: exists and is not a folder")
    if target.is_dir() and any(target.iterdir()) and not overwrite:
        raise InputError(f"{target}: exists and is not empty; choose another folder, or overwrite it (--overwrite)")
    resolved = target.resolve()
    for file in files:
        if file.resolve().is_relative_to(resolved):
            raise InputError(f"{target}: holds {file.name}, which is to be converted; choose another folder")


def _write(model: ImportedModel, folder: Path, layout: Layout, options: PreprocessingOptions, host: PluginHost) -> None:
    """Write the model into `folder`, read it back as a network, and settle its ceiling by the memory it plans."""
    from cnnrt.net import Net

    netfile = state_preprocessing(model.netfile, options, folder, layout, host)
    netfile = attrs.evolve(
        netfile, execution_mode=netfile.execution_mode or "parallel", auto_tuning=bool(netfile.auto_tuning)
    )
    path = write_model(folder, netfile, model.parameters, layout=layout)
    with Net(path, plugins=host) as net:
        needed = _bytes_needed(net)
        if netfile.allocated_ram is None:
            write_netfile(path, attrs.evolve(net.netfile, allocated_ram=_ceiling(needed)))


def _bytes_needed(net: Net) -> int:
    """Return the bytes that a batch takes; without stated input shapes those of the weights alone."""
    if all(i.shape is not None for i in net.graph.inputs):
        shapes = {i.name: (i.batch or CEILING_BATCH, *(i.shape or ())) for i in net.graph.inputs}
        return net.plan_for(shapes).memory.peak
    return sum(node.weights.nbytes for node in net.graph.nodes if node.weights)


def _ceiling(nbytes: int) -> int:
    """Return a ceiling in MiB with a quarter to spare, in tens; small networks get room for large batches."""
    return max(LEAST_CEILING, 10 * math.ceil(1.25 * nbytes / MIB / 10))


def _put_in_place(beside: Path, target: Path) -> None:
    """Rename the finished folder to `target`; what was there before goes last, so that nothing is lost on failure."""
    beside.chmod(0o755)  # temporary folders are private
    old = None
    if target.exists():
        old = beside.with_suffix(".old")
        target.rename(old)
    try:
        beside.rename(target)
    except OSError:
        if old is not None:
            old.rename(target)
        raise
    if old is not None:
        shutil.rmtree(old, ignore_errors=True)
