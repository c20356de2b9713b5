"""Checks a whole model, stage by stage, and goes on after problems as far as there is anything to look at."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

from cnnrt.cli.net_options import Stated, input_hint, shapes_by_name, unstated
from cnnrt.cli.progress import progress
from cnnrt.cli.quantities import plural, scaled, size
from cnnrt.errors import CnnrtError, NetFileError, PlacementError, Position, Problem
from cnnrt.labels import read_labels
from cnnrt.layer import shape_text
from cnnrt.loading import load_netfile
from cnnrt.net import Net
from cnnrt.preprocessing import preprocessing
from cnnrt.root_directory import root_directory
from cnnrt.shapes import infer_shapes
from netfile_spec import NetFile, open_parameters, resolve_inside


@attrs.define
class ModelCheck:
    """What was found: `problems` make the model unusable, `notes` do not; `facts` sum up what was checked."""

    file: str
    source: str = ""
    problems: list[Problem] = attrs.field(factory=list)
    notes: list[str] = attrs.field(factory=list)
    facts: dict[str, str] = attrs.field(factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, ready for JSON."""
        return {
            "file": self.file,
            "good": not self.problems,
            "problems": [
                {
                    "line": p.position.line if p.position else None,
                    "column": p.position.column if p.position else None,
                    "message": p.message,
                    "expected": p.expected,
                    "hint": p.hint,
                }
                for p in self.problems
            ],
            "notes": self.notes,
            **self.facts,
        }

    @contextmanager
    def collecting(self, position: Position | None = None) -> Iterator[None]:
        """Keep what the block raises as problems; those that have no place in the file are put at `position`."""
        try:
            yield
        except NetFileError as error:
            self.source = self.source or error.source
            self.problems += error.problems
        except CnnrtError as error:
            self.problems.append(Problem(str(error).removeprefix(f"{self.file}: "), position))


def check_model(path: Path, root: Path | None, stated: Sequence[Stated]) -> ModelCheck:
    """Check the NetFile at `path`, its graph, shapes where inputs are known, and all files that it names."""
    found = ModelCheck(str(path))
    netfile: NetFile | None = None
    with found.collecting():
        netfile = load_netfile(path)
    if netfile is None:
        return found
    found.source = netfile.source
    version = netfile.netfile_version
    found.facts["language"] = "CNNdroid's" if version is None else f"netfile_version {version}"
    folder: Path | None = None
    with found.collecting():
        folder = root_directory(netfile, root)
    if folder is None:
        return found
    net: Net | None = None
    with found.collecting():
        net = Net(netfile, root_directory=folder)
    if net is not None:
        found.facts["layers"] = str(len(net.graph.nodes))
        _check_shapes(net, stated, found)
    _check_parameters(netfile, folder, found, graph_is_good=net is not None)
    _check_inputs(netfile, folder, found)
    return found


def _check_shapes(net: Net, stated: Sequence[Stated], found: ModelCheck) -> None:
    shapes: Mapping[str, tuple[int, ...]] = {}
    with found.collecting():
        shapes = shapes_by_name(net, stated)
    unknown = unstated(net, shapes)
    if unknown:
        hint = input_hint(unknown, several=len(net.graph.inputs) > 1)
        found.notes.append(f"the NetFile states no input shape, so shapes were not checked; to check them add {hint}")
        return
    with found.collecting():
        values = infer_shapes(net.graph, shapes).values
        given = ", ".join(f"{name} {shape_text(shape)}" for name, shape in shapes.items())
        results = ", ".join(f"{name} {shape_text(values[name])}" for name in net.graph.outputs)
        found.facts["shapes"] = f"{given} -> {results}"
        try:
            net.plan_for(shapes)
        except PlacementError as error:
            found.notes.append(f"the model is good, but it cannot run here as it is: {error}")


def _check_parameters(netfile: NetFile, folder: Path, found: ModelCheck, *, graph_is_good: bool) -> None:
    """Verify each parameter file once. Files that cannot be opened were found while the graph was built, if it was."""
    places = {
        layer.parameters_file: layer.key_positions.get("parameters_file", layer.position)
        for layer in reversed(netfile.layers)
        if layer.parameters_file
    }
    count, nbytes, layouts = 0, 0, set()
    before = len(found.problems)
    with progress("verifying parameter files", len(places)) as count_up:
        for name, place in reversed(places.items()):
            try:
                file = open_parameters(resolve_inside(folder, name))
            except CnnrtError:
                if graph_is_good:
                    raise
                continue
            with file, found.collecting(place):
                file.verify()
                layouts.add(file.layout)
                count += sum(math.prod(tensor.shape) for tensor in file.tensors)
                nbytes += file.path.stat().st_size
            count_up(1)
    if len(found.problems) > before:
        return
    listed = " and ".join(sorted(layouts))
    described = (
        f"{scaled(count)} in {plural(len(places), 'file')}, {size(nbytes)}, layout {listed}; every byte verified"
    )
    found.facts["parameters"] = described if places else "none"
    if "cnndroid" in layouts:
        found.notes.append(
            "CNNdroid's layout is decoded number by number; cnnrt's loads faster, and under allocated_ram it is read "
            "for each call as it is. To convert a file: from netfile_spec import read_parameters, write_parameters; "
            'write_parameters(file, dict(zip(("weight", "bias"), read_parameters(file).values())))'
        )


def _check_inputs(netfile: NetFile, folder: Path, found: ModelCheck) -> None:
    """Check preprocessing and labels, whose files are otherwise read only when an image is classified."""
    for block in netfile.inputs:
        if block.channel_order or block.mean or block.mean_file or block.scale:
            with found.collecting(block.position):
                preprocessing(block, folder)
                found.facts["preprocessing"] = "stated"
    found.facts.setdefault("preprocessing", "none stated")
    with found.collecting(netfile.positions.get("labels")):
        labels = read_labels(netfile, folder)
        found.facts["labels"] = "none" if labels is None else plural(len(labels), "label")
