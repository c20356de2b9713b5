"""`cnnrt bench`: how fast a network runs here, and in what memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cnnrt.cli.command_line import Command
from cnnrt.cli.net_options import (
    NetOptions,
    Stated,
    budget_option,
    input_option,
    json_option,
    net_options,
    netfile_argument,
    shapes_with_batch,
)
from cnnrt.cli.option_types import Number

if TYPE_CHECKING:
    from cnnrt.cli.energy import EnergyMeters
    from cnnrt.cli.measurement import Measurement


@click.command(
    cls=Command,
    examples="""
        cnnrt bench lenet --batch 16
        cnnrt bench AlexNet_def.txt --root parameters --input 16,3,227,227 --mode sequential --mode parallel --layers
    """,
)
@netfile_argument
@click.option("--batch", type=click.IntRange(min=1), metavar="N", help="Images in a batch, where --input does not say.")
@click.option(
    "--mode",
    "modes",
    multiple=True,
    metavar="MODE",
    help='"parallel" or the name of a backend; repeat it to compare.  [default: the NetFile\'s]',
)
@input_option
@click.option(
    "--seconds",
    type=Number(min=0),
    default=2.0,
    show_default=True,
    metavar="S",
    help="Measure for so long in each mode, after a warm-up.",
)
@click.option("--runs", type=click.IntRange(min=1), metavar="N", help="Measure so many runs instead.")
@click.option("--layers", is_flag=True, help="Show the time of each layer.")
@budget_option
@net_options
@json_option
def bench(
    netfile: Path,
    batch: int | None,
    modes: Sequence[str],
    stated_inputs: Sequence[Stated],
    seconds: float,
    runs: int | None,
    layers: bool,
    options: NetOptions,
    as_json: bool,
) -> None:
    """Measure a network on random numbers: time, images a second, operations a second, memory, energy.

    Times are of whole batches; the median of all runs after the warm-up counts. Energy is measured where there is a
    counter, without what the idle machine takes.
    """
    from cnnrt.cli.bench_tables import measurement_as_dict, print_layers, print_measurements
    from cnnrt.cli.energy import watch_idle
    from cnnrt.cli.measurement import measure
    from cnnrt.cli.printing import print_json, stdout
    from cnnrt.plugins import plugin_host

    meters = watch_idle(plugin_host().meters().values())
    measured: list[Measurement] = []
    for mode in modes or (None,):
        with options.open(netfile, mode) as net:
            shapes = shapes_with_batch(net, stated_inputs, batch)
            measured.append(measure(net, shapes, seconds=seconds, runs=runs, layers=layers, meters=meters))
    if as_json:
        results = [measurement_as_dict(m) for m in measured]
        print_json({"netfile": str(netfile), "results": results, "meters_left_out": meters.left_out})
        return
    console = stdout()
    print_measurements(console, measured)
    for one in measured if layers else ():
        print_layers(console, one)
    _tell_left_out(meters, measured)


def _tell_left_out(meters: EnergyMeters, measured: Sequence[Measurement]) -> None:
    """Say which counters are missing, and why, where no energy could be measured."""
    from cnnrt.cli.command_line import tell

    if any(m.energy for m in measured):
        return
    if not meters.left_out:
        tell("note", "joules were not measured: no plugin that reads an energy counter is installed")
    for name, reason in meters.left_out.items():
        tell("note", f"joules were not measured by {name}: {reason}")
