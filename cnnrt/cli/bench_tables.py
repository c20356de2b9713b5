"""What `cnnrt bench` shows of its measurements: tables for people, plain values for programs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.console import Console

from cnnrt.cli.energy import EnergyUse
from cnnrt.cli.measurement import Measurement
from cnnrt.cli.printing import Column, number, print_facts, print_heading, print_table
from cnnrt.cli.quantities import milliseconds, scaled, size, three_digits
from cnnrt.layer import shape_text
from cnnrt.profile import LayerTime


def print_measurements(console: Console, measured: Sequence[Measurement]) -> None:
    """Print a column for each execution mode."""
    first = measured[0]
    inputs = ", ".join(f"{name} {shape_text(shape)}" for name, shape in first.plan.inputs.items())
    print_facts(console, {"input": inputs, "work": f"{scaled(first.flops)} FLOP for each batch"})
    console.print()
    rows = {
        "backends": [", ".join(m.plan.backends) for m in measured],
        "runs": [str(len(m.seconds)) for m in measured],
        "median ms": [milliseconds(m.median) for m in measured],
        "half of the runs, ms": [" to ".join(milliseconds(s) for s in m.quartiles) for m in measured],
        "best ms": [milliseconds(m.best) for m in measured],
        "images/s": [three_digits(m.images / m.median) for m in measured],
        "GFLOP/s": [three_digits(m.flops / m.median / 1e9) for m in measured],
        "preparing ms": [milliseconds(m.prepare_seconds) for m in measured],
        "memory planned": [size(m.plan.memory.peak) for m in measured],
        "memory of process": [size(m.peak_bytes) + ("" if m.peak_of_mode else " so far") for m in measured],
    }
    if len(measured) > 1:
        rows["times as fast"] = [three_digits(first.median / m.median) for m in measured]
    for meter in dict.fromkeys(use.meter for m in measured for use in m.energy):
        uses = [next((use for use in m.energy if use.meter == meter), None) for m in measured]
        rows |= {f"{meter}: {name}": [cell(use) if use else "" for use in uses] for name, cell in _ENERGY_ROWS.items()}
    columns = [Column("execution_mode"), *(number(m.plan.execution_mode) for m in measured)]
    print_table(console, columns, [(name, *cells) for name, cells in rows.items()])


def _with_spread(value: float, spread: float) -> str:
    return f"{three_digits(value)} ± {three_digits(spread)}"


_ENERGY_ROWS: Mapping[str, Callable[[EnergyUse], str]] = {
    "mW above idle": lambda use: _with_spread(1e3 * use.watts, 1e3 * use.watts_spread),
    "mW idle": lambda use: _with_spread(1e3 * use.idle.mean, 1e3 * use.idle.spread),
    "J/image": lambda use: _with_spread(use.joules_per_image, use.joules_per_image_spread),
}


def print_layers(console: Console, measured: Measurement) -> None:
    """Print a row for each layer, and their sum."""
    print_heading(console, f'layers (execution_mode "{measured.plan.execution_mode}")')
    headings = ("run ms", "load ms", "share", "GFLOP/s")
    columns = [Column("layer"), Column("backend"), Column("kernel"), *(number(heading) for heading in headings)]
    cells = [
        (
            found["title"],
            found["backend"],
            found["kernel"],
            milliseconds(found["run_seconds"]),
            milliseconds(found["load_seconds"]),
            f"{100 * found['share']:.1f} %",
            three_digits(found["flops"] / found["run_seconds"] / 1e9) if found["flops"] else "",
        )
        for found in _layers(measured)
    ]
    run, load = (sum(getattr(t, side) for t in measured.layers) for side in ("run_seconds", "load_seconds"))
    rate = three_digits(measured.flops / run / 1e9) if run else ""
    print_table(console, columns, [*cells, ("all layers", "", "", milliseconds(run), milliseconds(load), "", rate)])


def measurement_as_dict(m: Measurement) -> dict[str, Any]:
    """Return a measurement as plain values: seconds, bytes, operations, joules and watts."""
    return {
        "mode": m.plan.execution_mode,
        "backends": m.plan.backends,
        "inputs": m.plan.inputs,
        "runs": len(m.seconds),
        "median_seconds": m.median,
        "quartile_seconds": m.quartiles,
        "best_seconds": m.best,
        "images_per_second": m.images / m.median,
        "flops": m.flops,
        "flops_per_second": m.flops / m.median,
        "prepare_seconds": m.prepare_seconds,
        "planned_peak_bytes": m.plan.memory.peak,
        "process_peak_bytes": m.peak_bytes,
        "layers": _layers(m),
        "energy": [_energy(use) for use in m.energy],
    }


def _layers(m: Measurement) -> list[dict[str, Any]]:
    """Return each layer's times with what the plan says of it; `share` is that of the sum of all layers."""
    rows = {row.layer: row for row in m.plan.rows}

    def seconds(times: LayerTime) -> float:
        return times.run_seconds + times.load_seconds

    whole = sum(map(seconds, m.layers)) or 1.0
    return [
        {
            "layer": times.layer,
            "title": rows[times.layer].title,
            "backend": rows[times.layer].backend,
            "kernel": rows[times.layer].kernel,
            "run_seconds": times.run_seconds,
            "load_seconds": times.load_seconds,
            "share": seconds(times) / whole,
            "flops": rows[times.layer].flops,
            "bytes": rows[times.layer].bytes,
        }
        for times in m.layers
    ]


def _energy(use: EnergyUse) -> dict[str, Any]:
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
