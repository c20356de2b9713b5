"""`cnnrt tune`: measure the kernels of a network on this machine, and remember the fastest."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cnnrt.cli.command_line import Command, tell
from cnnrt.cli.net_options import (
    NetOptions,
    Stated,
    budget_option,
    input_hint,
    input_option,
    json_option,
    mode_option,
    net_options,
    netfile_argument,
    shapes_by_name,
    unstated,
)

if TYPE_CHECKING:
    from rich.console import Console

    from cnnrt.cli.progress import CountUp
    from cnnrt.tuning.network import Tuned
    from cnnrt.tuning.tuner import Progress


@click.command(
    cls=Command,
    examples="""
        cnnrt tune lenet
        cnnrt tune AlexNet_def.txt --root parameters --input 16,3,227,227 --budget 60
    """,
    exit_codes={0: "done, whether or not the budget was enough for every layer"},
)
@netfile_argument
@input_option
@budget_option
@mode_option
@net_options
@json_option
def tune(
    netfile: Path,
    stated_inputs: Sequence[Stated],
    mode: str | None,
    options: NetOptions,
    as_json: bool,
) -> None:
    """Measure the kernels that compete for each layer, and remember the fastest for this machine.

    What is known already is not measured again. Networks whose auto_tuning is on use what was learned.
    """
    from cnnrt.cli.printing import print_json, stdout
    from cnnrt.errors import InputError
    from cnnrt.tuning.network import UNMEASURED

    with options.open(netfile, mode) as net:
        shapes = shapes_by_name(net, stated_inputs)
        if unknown := unstated(net, shapes):
            hint = input_hint(unknown, several=len(net.graph.inputs) > 1)
            raise InputError(f"{netfile}: the NetFile states no input shape; add {hint}")
        with _progress() as progress:
            known = net.tune(shapes, progress=progress)
        if as_json:
            print_json({"netfile": str(netfile), "inputs": shapes, "layers": [t.to_dict() for t in known]})
            return
        _print(stdout(), known)
        if any(t.record.left if t.record else t.why == UNMEASURED for t in known):
            tell("note", "what was learned is kept; where time ran out, run it again, or give it more (--budget)")
        if not net.settings.auto_tuning:
            tell("note", "auto_tuning is off in this NetFile: it runs by the cost model's choice until it is on")


@contextlib.contextmanager
def _progress() -> Iterator[Progress]:
    """Draw a bar between the layers, where nothing is being timed."""
    from cnnrt.cli.progress import progress_between

    with contextlib.ExitStack() as stack:
        bars: list[CountUp] = []

        def show(done: int, total: int, layer: str) -> None:
            if not bars:
                bars.append(stack.enter_context(progress_between("measuring kernels", total)))
            elif done:
                bars[0](1)

        yield show


def _print(console: Console, known: Sequence[Tuned]) -> None:
    from cnnrt.cli.printing import Column, number, print_table
    from cnnrt.cli.quantities import milliseconds, three_digits
    from cnnrt.tuning.network import title

    columns = [
        Column("layer"),
        Column("winner", wraps=True),
        number("ms"),
        Column("default", wraps=True),
        number("ms"),
        number("gain"),
    ]
    rows = []
    for t in known:
        if t.record is None:
            rows.append((t.layer, t.why, "", "", "", ""))
            continue
        winner, default = t.record.timed[t.record.winner], t.record.timed[t.record.default]
        rows.append(
            (
                t.layer,
                title(winner.kernel, winner.tuning),
                milliseconds(winner.seconds),
                title(default.kernel, default.tuning),
                milliseconds(default.seconds),
                f"{three_digits(t.record.gain)}×",
            )
        )
    print_table(console, columns, rows)
