"""`cnnrt bench`: how fast a network runs here, and in what memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import click

from cnnrt.cli.command_line import Command
from cnnrt.cli.net_options import (
    NetOptions,
    Stated,
    input_hint,
    input_option,
    json_option,
    net_options,
    netfile_argument,
    shapes_by_name,
    unstated,
)

if TYPE_CHECKING:
    from rich.console import Console

    from cnnrt.cli.energy import EnergyMeters, EnergyUse
    from cnnrt.cli.measurement import Measurement
    from cnnrt.net import Net


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
    type=click.FloatRange(min=0),
    default=2.0,
    show_default=True,
    metavar="S",
    help="Measure for so long in each mode, after a warm-up.",
)
@click.option("--runs", type=click.IntRange(min=1), metavar="N", help="Measure so many runs instead.")
@click.option("--layers", is_flag=True, help="Show the time of each layer.")
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
    from cnnrt.cli.energy import watch_idle
    from cnnrt.cli.measurement import measure
    from cnnrt.cli.printing import print_json, stdout
    from cnnrt.plugins import plugin_host

    meters = watch_idle(plugin_host().meters().values())
    measured: list[Measurement] = []
    for mode in modes or (None,):
        with options.open(netfile, mode) as net:
            shapes = _shapes(net, stated_inputs, batch)
            measured.append(measure(net, shapes, seconds=seconds, runs=runs, layers=layers, meters=meters))
    if as_json:
        results = [_as_dict(m) for m in measured]
        print_json({"netfile": str(netfile), "results": results, "meters_left_out": meters.left_out})
        return
    console = stdout()
    _print(console, measured)
    for one in measured if layers else ():
        _print_layers(console, one)
    _tell_left_out(meters, measured)


def _shapes(net: Net, stated: Sequence[Stated], batch: int | None) -> Mapping[str, tuple[int, ...]]:
    from cnnrt.errors import InputError

    shapes = shapes_by_name(net, stated)
    unknown = unstated(net, shapes)
    if unknown:
        hint = input_hint(unknown, several=len(net.graph.inputs) > 1)
        raise InputError(f"{net.graph.file}: the NetFile states no input shape: add {hint}")
    said = {name or net.graph.inputs[0].name for name, _ in stated}
    return {name: shape if name in said else (batch or shape[0], *shape[1:]) for name, shape in shapes.items()}


def _print(console: Console, measured: Sequence[Measurement]) -> None:
    from cnnrt.cli.printing import Column, number, print_facts, print_table
    from cnnrt.cli.quantities import milliseconds, scaled, size, three_digits
    from cnnrt.layer import shape_text

    first = measured[0]
    inputs = ", ".join(f"{name} {shape_text(shape)}" for name, shape in first.plan.inputs.items())
    print_facts(console, {"input": inputs, "work": f"{scaled(first.flops)} FLOP for each batch"})
    console.print()
    rows = {
        "backends": [", ".join(m.plan.backends) for m in measured],
        "runs": [str(len(m.seconds)) for m in measured],
        "median ms": [milliseconds(m.median) for m in measured],
        "best ms": [milliseconds(m.best) for m in measured],
        "images/s": [three_digits(m.images / m.median) for m in measured],
        "GFLOP/s": [three_digits(m.flops / m.median / 1e9) for m in measured],
        "preparing ms": [milliseconds(m.prepare_seconds) for m in measured],
        "memory planned": [size(m.plan.memory.peak) for m in measured],
        "memory of process": [size(m.peak_bytes) + ("" if m.peak_of_mode else " so far") for m in measured],
    }
    for meter in dict.fromkeys(use.meter for m in measured for use in m.energy):
        uses = [next((use for use in m.energy if use.meter == meter), None) for m in measured]
        rows |= {f"{meter}: {name}": [cell(use) if use else "" for use in uses] for name, cell in _ENERGY_ROWS.items()}
    columns = [Column("execution_mode"), *(number(m.plan.execution_mode) for m in measured)]
    print_table(console, columns, [(name, *cells) for name, cells in rows.items()])


def _with_spread(value: float, spread: float) -> str:
    from cnnrt.cli.quantities import three_digits

    return f"{three_digits(value)} ± {three_digits(spread)}"


_ENERGY_ROWS: Mapping[str, Callable[[EnergyUse], str]] = {
    "mW above idle": lambda use: _with_spread(1e3 * use.watts, 1e3 * use.watts_spread),
    "mW idle": lambda use: _with_spread(1e3 * use.idle.mean, 1e3 * use.idle.spread),
    "J/image": lambda use: _with_spread(use.joules_per_image, use.joules_per_image_spread),
}


def _print_layers(console: Console, measured: Measurement) -> None:
    from cnnrt.cli.printing import Column, number, print_heading, print_table
    from cnnrt.cli.quantities import milliseconds, three_digits

    print_heading(console, f'layers (execution_mode "{measured.plan.execution_mode}")')
    rows = {row.layer: row for row in measured.plan.rows}
    whole = sum(t.run_seconds + t.load_seconds for t in measured.layers)
    columns = [
        Column("layer"),
        Column("backend"),
        Column("kernel"),
        *(number(h) for h in ("run ms", "load ms", "share", "GFLOP/s")),
    ]
    cells = []
    for times in measured.layers:
        row = rows.get(times.layer)
        rate = three_digits(row.flops / times.run_seconds / 1e9) if row and row.flops and times.run_seconds else ""
        cells.append(
            (
                row.title if row else times.layer,
                row.backend if row else "",
                row.kernel if row else "",
                milliseconds(times.run_seconds),
                milliseconds(times.load_seconds),
                f"{100 * (times.run_seconds + times.load_seconds) / whole:.1f} %" if whole else "",
                rate,
            )
        )
    print_table(console, columns, cells)


def _as_dict(m: Measurement) -> dict[str, Any]:
    return {
        "mode": m.plan.execution_mode,
        "backends": m.plan.backends,
        "inputs": m.plan.inputs,
        "runs": len(m.seconds),
        "median_seconds": m.median,
        "best_seconds": m.best,
        "images_per_second": m.images / m.median,
        "flops": m.flops,
        "flops_per_second": m.flops / m.median,
        "prepare_seconds": m.prepare_seconds,
        "planned_peak_bytes": m.plan.memory.peak,
        "process_peak_bytes": m.peak_bytes,
        "layers": [attrs.asdict(times) for times in m.layers],
        "energy": [_energy_as_dict(use) for use in m.energy],
    }


def _energy_as_dict(use: EnergyUse) -> dict[str, Any]:
    return {
        "meter": use.meter,
        "images": use.images,
        "seconds": use.busy.seconds,
        "joules": use.busy.joules,
        "joules_per_image": use.joules_per_image,
        "joules_per_image_spread": use.joules_per_image_spread,
        "watts_above_idle": use.watts,
        "watts_above_idle_spread": use.watts_spread,
        "idle_watts": use.idle.mean,
        "idle_watts_spread": use.idle.spread,
    }


def _tell_left_out(meters: EnergyMeters, measured: Sequence[Measurement]) -> None:
    """Say which counters are missing, and why, where no energy could be measured."""
    from cnnrt.cli.command_line import tell

    if any(m.energy for m in measured):
        return
    if not meters.left_out:
        tell("note", "joules were not measured: no plugin that reads an energy counter is installed")
    for name, reason in meters.left_out.items():
        tell("note", f"joules were not measured by {name}: {reason}")
