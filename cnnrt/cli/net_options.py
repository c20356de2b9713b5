"""Arguments and options that several commands share: which network, and how it is to run."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import click

from cnnrt.cli.option_types import PATH, Number

if TYPE_CHECKING:
    from cnnrt.net import Net

Function = Callable[..., None]


Stated = tuple[str, tuple[int, ...]]
"""An input's name (empty: the only one) and its shape."""


def _inside_folder(context: click.Context, parameter: click.Parameter, path: Path) -> Path:
    """Return the NetFile, also where the folder was named in which `convert` wrote one."""
    inside = path / "net.netfile"
    return inside if inside.is_file() else path


def _shapes(context: click.Context, parameter: click.Parameter, values: Sequence[str]) -> tuple[Stated, ...]:
    return tuple(_shape(value) for value in values)


def _shape(value: str) -> Stated:
    """Return what "16,3,227,227" or "data=16,3,227,227" states."""
    name, equals, numbers = value.rpartition("=")
    try:
        shape = tuple(int(part) for part in numbers.lower().replace("x", ",").split(","))
    except ValueError:
        shape = ()
    if not shape or min(shape) < 1 or (equals and not name):
        raise click.BadParameter(f"{value!r}: expected images, channels, rows and columns, as in 1,3,227,227")
    return name, shape


@attrs.frozen
class NetOptions:
    """How a network is to run, as far as the user says: see `cnnrt.Net`."""

    root: Path | None = None
    ram: float | None = None
    threads: int | None = None
    device: str | None = None
    strict: bool = False
    weight_storage: str | None = None
    budget: float | None = None

    def open(self, netfile: Path, mode: str | None = None) -> Net:
        """Return the network."""
        from cnnrt.net import Net

        return Net(
            netfile,
            execution_mode=mode,
            allocated_ram=self.ram,
            threads=self.threads,
            device=self.device,
            strict=self.strict,
            weight_storage=self.weight_storage,
            tuning_budget=self.budget,
            root_directory=self.root,
        )


netfile_argument = click.argument("netfile", type=PATH, callback=_inside_folder, metavar="NETFILE")

root_option = click.option(
    "--root",
    type=PATH,
    metavar="DIR",
    help="Folder of the parameter files, instead of the NetFile's root_directory.",
)

mode_option = click.option(
    "--mode", metavar="MODE", help='"parallel" or the name of a backend, instead of the NetFile\'s execution_mode.'
)

input_option = click.option(
    "--input",
    "stated_inputs",
    multiple=True,
    callback=_shapes,
    metavar="[NAME=]N,C,H,W",
    help="Shape of an input, with its batch; repeat it for several inputs.",
)

budget_option = click.option(
    "--budget",
    type=Number(min=0),
    metavar="S",
    help="Measure kernels for at most so many seconds, if they are to be measured.  [default: 10]",
)
"""Beside `net_options`, for commands that prepare a network: where auto_tuning is on, they tune it."""

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


def net_options(command: Function) -> Function:
    """Give a command the options of a network; it gets them as `options`, a NetOptions."""

    @functools.wraps(command)
    def with_options(
        *args: Any,
        root: Path | None,
        ram: float | None,
        threads: int | None,
        device: str | None,
        strict: bool,
        weight_storage: str | None,
        budget: float | None = None,
        **others: Any,
    ) -> None:
        command(*args, options=NetOptions(root, ram, threads, device, strict, weight_storage, budget), **others)

    for option in (
        click.option("--strict", is_flag=True, help="Refuse to run any layer by its reference instead of a kernel."),
        click.option(
            "--weight-storage",
            type=click.Choice(("float32", "float16")),
            help="Type to keep weights in, instead of the NetFile's; float16 takes half of the memory.",
        ),
        click.option("--device", metavar="NAME", help="Use only this device (see: cnnrt devices)."),
        click.option("--threads", type=click.IntRange(min=1), metavar="N", help="Most threads to use."),
        click.option(
            "--ram", type=Number(min=0, min_open=True), metavar="MIB", help="Memory ceiling, instead of allocated_ram."
        ),
        root_option,
    ):
        with_options = option(with_options)
    return with_options


def shapes_by_name(net: Net, stated: Sequence[Stated]) -> Mapping[str, tuple[int, ...]]:
    """Return the shapes of a network's inputs: as stated on the command line, else by the NetFile with a batch of 1.

    An input that neither states is left out. Raises InputError for an unknown name.
    """
    from cnnrt.errors import InputError
    from cnnrt.graph import nearest

    names = [i.name for i in net.graph.inputs]
    shapes = {i.name: (i.batch or 1, *i.shape) for i in net.graph.inputs if i.shape is not None}
    for name, shape in stated:
        if not name and len(names) > 1:
            raise InputError(f"--input: the network has several inputs ({', '.join(names)}): state NAME=N,C,H,W")
        if name and name not in names:
            raise InputError(f"--input: the network has no input {name!r}; {nearest(name, names)}")
        shapes[name or names[0]] = shape
    return shapes


def unstated(net: Net, shapes: Mapping[str, tuple[int, ...]]) -> list[str]:
    """Return the names of the inputs whose shapes are not known."""
    return [i.name for i in net.graph.inputs if i.name not in shapes]


def input_hint(names: Sequence[str], several: bool) -> str:
    """Return what to add to the command line so that the shapes of these inputs are known."""
    return " ".join(f"--input {name}=1,3,227,227" if several else "--input 1,3,227,227" for name in names)


def shapes_with_batch(net: Net, stated: Sequence[Stated], batch: int | None) -> Mapping[str, tuple[int, ...]]:
    """Return the shapes of a network's inputs, with so many images where the command line states no shape.

    Raises InputError where a shape is not known.
    """
    from cnnrt.errors import InputError

    shapes = shapes_by_name(net, stated)
    unknown = unstated(net, shapes)
    if unknown:
        hint = input_hint(unknown, several=len(net.graph.inputs) > 1)
        raise InputError(f"{net.graph.file}: the NetFile states no input shape: add {hint}")
    said = {name or net.graph.inputs[0].name for name, _ in stated}
    return {name: shape if name in said else (batch or shape[0], *shape[1:]) for name, shape in shapes.items()}
