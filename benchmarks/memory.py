"""What networks take of memory, and of time, under a ceiling; and CNNdroid's Figure 7 on this machine.

    python -m benchmarks.memory curve [NETWORK ...] [--batch 1 16] [--modes ...] [--ceilings 512 256 ...] [--json FILE]
    python -m benchmarks.memory figure7 [NETWORK ...] [--engines ...] [--json FILE]
    python -m benchmarks.memory draw PICTURE.svg FILE.json...  the curve of time against ceiling

`curve`: each figure is of a process of its own, measured from outside (`cnnrt/memory_trial.py`): by how much its
high-water mark rises above that of the same process after a network of one layer, and the median time of its calls.
`figure7`, after the paper's (Latifi Oskouei et al. 2016): the size of the files, and the peak of the whole process,
libraries included, that computes 16 images; a column for each engine, as in race.py. "cnnrt:threaded@64" has 64 MiB.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

import attrs

from benchmarks.contest import Entrant, contest
from benchmarks.figure8 import usable_backends
from benchmarks.memory_picture import picture
from benchmarks.networks import LARGE, NETWORKS, build
from benchmarks.record import machine_line, write_record
from cnnrt.memory_plan import MIB
from cnnrt.memory_trial import Growth, Trial, measure_growth

CEILINGS = (512, 256, 128, 64, 48)
CURVE_NETWORKS = ("lenet", "cifar10", "nin", "alexnet", "vgg19")
FIGURE7_NETWORKS = ("lenet", "cifar10", "alexnet")
FIGURE7_ENGINES = ("cnnrt:sequential", "cnnrt:threaded", "cnnrt:threaded@64", "onnxruntime", "openvino", "mnn")
IN_THE_PROCESS = ("sequential", "threaded")
SPARE = 8
"""MiB that a process may grow by beyond the ceiling."""


@attrs.frozen
class Point:
    """One process: MiB of its ceiling (None: no ceiling), of its growth and of the plan; milliseconds of a call."""

    network: str
    mode: str
    batch: int
    ceiling: int | None
    peak: float = 0.0
    own_peak: float = 0.0
    planned: float = 0.0
    streamed: float = 0.0
    runtime: float = 0.0
    ms: float = 0.0
    checksum: int = 0
    refused: str = ""

    @property
    def kept(self) -> bool:
        """Whether it stayed below its ceiling."""
        return self.ceiling is None or bool(self.refused) or self.peak <= self.ceiling + SPARE


def point(name: str, mode: str, batch: int, ceiling: int | None, growth: Growth) -> Point:
    """Return what a trial showed, in MiB."""
    if growth.refused:
        return Point(name, mode, batch, ceiling, peak=growth.peak / MIB, refused=growth.refused)
    return Point(
        name,
        mode,
        batch,
        ceiling,
        peak=growth.peak / MIB,
        own_peak=growth.own_peak / MIB,
        planned=growth.planned["peak"] / MIB,
        streamed=growth.planned["streamed"] / MIB,
        runtime=growth.runtime / MIB,
        ms=statistics.median(growth.milliseconds[1:]),
        checksum=growth.checksum,
    )


def curve(arguments: argparse.Namespace) -> list[Point]:
    """Measure and print all points."""
    found: list[Point] = []
    print(f"{machine_line()}\n\nMiB of the process beyond a network of one layer; median ms of a call\n")
    heads = ("ceiling", "peak", "planned", "streamed", "ms", "times")
    print(f"{'network':12}{'mode':12}{'batch':>6}" + "".join(f"{head:>10}" for head in heads))
    for name in arguments.networks or CURVE_NETWORKS:
        builder = build(name)
        with tempfile.TemporaryDirectory(prefix="cnnrt-memory-") as folder:
            path = builder.write(Path(folder))
            for mode in arguments.modes:
                for batch in arguments.batch:
                    free = 0.0
                    for ceiling in (None, *arguments.ceilings):
                        options = {"execution_mode": mode, "allocated_ram": ceiling}
                        trial = Trial(path, {"data": (batch, *builder.item)}, options, arguments.calls)
                        found.append(point(name, mode, batch, ceiling, measure_growth(trial)))
                        free = free or found[-1].ms
                        show(found[-1], free)
                        if arguments.json:  # after each point: they take long, and may be interrupted
                            write_record(arguments.json, "memory-curve", _told(arguments), found)
    return found


def show(p: Point, free: float) -> None:
    """Print one point; `free`: the milliseconds without a ceiling."""
    start = f"{p.network:12}{p.mode:12}{p.batch:>6}{p.ceiling or 'none':>10}"
    if p.refused:
        print(f"{start}  refused: {p.refused[:100]}", flush=True)
        return
    mark = "" if p.kept else "  ABOVE THE CEILING"
    cells = f"{p.peak:>10.1f}{p.planned:>10.1f}{p.streamed:>10.1f}{p.ms:>10.2f}{p.ms / free:>10.2f}"
    print(start + cells + mark, flush=True)


@attrs.define
class Row:
    """A network of Figure 7: MiB of its files in both layouts, and of each engine's process."""

    cnndroid_file: float = 0.0
    cnnrt_file: float = 0.0
    peaks: dict[str, float] = attrs.field(factory=dict)
    left_out: dict[str, str] = attrs.field(factory=dict)


def figure7(arguments: argparse.Namespace) -> dict[str, Row]:
    """Measure and print the table."""
    rows: dict[str, Row] = {}
    print(f"{machine_line()}\n\nMiB: of the files, and of the process that computes {arguments.batch[-1]} images\n")
    print(f"{'network':10}{'CNNdroid file':>15}{'file':>10}" + "".join(f"{e:>20}" for e in arguments.engines))
    for name in arguments.networks or FIGURE7_NETWORKS:
        builder = build(name)
        row = rows[name] = Row()
        with tempfile.TemporaryDirectory(prefix="cnnrt-memory-") as folder:
            row.cnnrt_file = _size(builder.write(Path(folder, "cnnrt")).parent)
            row.cnndroid_file = _size(builder.write(Path(folder, "cnndroid"), layout="cnndroid").parent)
        entrants = [Entrant(engine, arguments.threads) for engine in arguments.engines]
        for entrant, samples in contest(builder, entrants, arguments.batch[-1], 1, 0.0).items():
            if samples.left_out:
                row.left_out[entrant.engine] = samples.left_out
            else:
                row.peaks[entrant.engine] = samples.peak_mib
        cells = "".join(f"{row.peaks[e]:>20.0f}" if e in row.peaks else f"{'left out':>20}" for e in arguments.engines)
        print(f"{name:10}{row.cnndroid_file:>15.2f}{row.cnnrt_file:>10.2f}{cells}", flush=True)
        for engine, why in row.left_out.items():
            print(f"{'':10}{engine}: {why}")
    if arguments.json:
        write_record(arguments.json, "memory-figure7", _told(arguments), rows)
    return rows


def _told(arguments: argparse.Namespace) -> dict[str, object]:
    return {name: value for name, value in vars(arguments).items() if name != "function"}


def _size(folder: Path) -> float:
    return sum(file.stat().st_size for file in folder.iterdir()) / MIB


def draw(file: Path, records: Sequence[Path]) -> None:
    """Draw the curves of records: time against ceiling, as a multiple of that without one."""
    read = [json.loads(record.read_text(encoding="utf-8")) for record in records]
    points = [Point(**found) for record in read for found in record["results"]]
    lines: dict[str, list[tuple[float, float]]] = {}
    for p in points:
        free = next(
            q.ms for q in points if (q.network, q.mode, q.batch, q.ceiling) == (p.network, p.mode, p.batch, None)
        )
        if p.ceiling and not p.refused:
            lines.setdefault(f"{p.network}, {p.mode}, batch {p.batch}", []).append((p.ceiling, p.ms / free))
    file.write_text(
        picture(lines, "allocated_ram, MiB", "time of a call, times that without a ceiling"), encoding="utf-8"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the arguments and do what they ask for."""
    parser = argparse.ArgumentParser(description="memory and time under a ceiling (Linux)")
    commands = parser.add_subparsers(required=True)
    known = ", ".join({**NETWORKS, **LARGE})
    for name, function, batches in (("curve", curve, [1, 16]), ("figure7", figure7, [16])):
        command = commands.add_parser(name)
        command.add_argument("networks", nargs="*", metavar="NETWORK", help=known)
        command.add_argument("--batch", type=int, nargs="+", default=batches)
        command.add_argument("--json", type=Path, help="keep what was measured in this file")
        command.set_defaults(function=function)
        if function is curve:
            usable = [mode for mode in IN_THE_PROCESS if mode in usable_backends()[0]]
            command.add_argument("--modes", nargs="+", default=usable)
            command.add_argument("--ceilings", type=int, nargs="+", default=list(CEILINGS), help="MiB")
            command.add_argument("--calls", type=int, default=4, help="the first is not timed")
        else:
            command.add_argument("--engines", nargs="+", default=list(FIGURE7_ENGINES))
            command.add_argument("--threads", type=int, default=2)
    drawing = commands.add_parser("draw")
    drawing.add_argument("file", type=Path)
    drawing.add_argument("records", type=Path, nargs="+")
    drawing.set_defaults(function=lambda told: draw(told.file, told.records))
    told = parser.parse_args(arguments)
    told.function(told)


if __name__ == "__main__":
    main()
