"""How near each layer of a network comes to what this machine can do (Williams et al., CACM 2009).

    python -m benchmarks.roofline [NETWORK] [--batch 16] [--mode threaded] [--threads N] [--runs 20] [--json FILE]

The limits are measured first (machine_limits.py). A layer cannot take less time than its operations at the full rate of
the vector units, nor less than its bytes (inputs, outputs and weights, each once) from the nearest level of memory that
holds them all. "share" is the larger of the two over the time that was measured. Operations are those of the layer's
definition: Winograd needs fewer, and can show more than the whole.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

import attrs

from benchmarks.machine_limits import Limits, measure_limits, show
from benchmarks.networks import NETWORKS, build
from benchmarks.record import machine_line, write_record
from cnnrt import Net
from cnnrt.cli.measurement import random_inputs
from cnnrt.hardware import detect_hardware


@attrs.frozen
class Placed:
    """A layer under its roof: medians of `seconds`, and the least that the machine's limit allows."""

    layer: str
    kernel: str
    flops: int
    bytes: int
    seconds: float
    least_seconds: float
    limit: str

    @property
    def share(self) -> float:
        """How much of the limit is reached."""
        return self.least_seconds / self.seconds


def place(name: str, batch: int, mode: str, limits: Limits, runs: int) -> list[Placed]:
    """Time every layer of a network and hold it against the limits."""
    builder = build(name)
    images = random_inputs({"data": (batch, *builder.item)})["data"]
    with (
        tempfile.TemporaryDirectory() as folder,
        Net(builder.write(Path(folder)), execution_mode=mode, threads=limits.threads) as net,
    ):
        plan = net.prepare(images.shape)
        net.compute(images)
        profiles = [net.profile(images).layers for _ in range(runs)]
    rows = {row.layer: row for row in plan.rows}
    placed = []
    for times in zip(*profiles, strict=True):
        row = rows[times[0].layer]
        least, limit = limits.least_seconds(row.flops, row.bytes)
        seconds = statistics.median(t.run_seconds for t in times)
        placed.append(Placed(row.title, f"{row.backend}/{row.kernel}", row.flops, row.bytes, seconds, least, limit))
    return placed


def show_layers(layers: Sequence[Placed]) -> None:
    """Print a table, with the sum of all layers."""
    width = max(len(placed.layer) for placed in layers) + 2
    kernels = max(len(placed.kernel) for placed in layers) + 2
    heads = ("ms", "FLOP/byte", "GFLOP/s", "GB/s", "limit", "share")
    print(f"{'layer':{width}}{'kernel':{kernels}}" + "".join(f"{head:>12}" for head in heads))
    for p in layers:
        cells = [f"{p.seconds * 1e3:.3f}", f"{p.flops / p.bytes:.1f}" if p.bytes else ""]
        cells += [f"{p.flops / p.seconds / 1e9:.1f}", f"{p.bytes / p.seconds / 1e9:.1f}", p.limit, f"{p.share:.0%}"]
        print(f"{p.layer:{width}}{p.kernel:{kernels}}" + "".join(f"{cell:>12}" for cell in cells))
    seconds, least = (sum(values) for values in zip(*((p.seconds, p.least_seconds) for p in layers), strict=True))
    cells = [f"{seconds * 1e3:.3f}", "", f"{sum(p.flops for p in layers) / seconds / 1e9:.1f}", "", "", ""]
    cells[-1] = f"{least / seconds:.0%}"
    print(f"{'all layers':{width}}{'':{kernels}}" + "".join(f"{cell:>12}" for cell in cells))


def main() -> None:
    """Read the arguments, measure, and print."""
    parser = argparse.ArgumentParser(description="each layer against the limits of the machine")
    parser.add_argument("network", nargs="?", choices=list(NETWORKS), default="alexnet")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--mode", default="threaded", help="execution mode")
    parser.add_argument("--threads", type=int, default=detect_hardware().cores_usable)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--json", type=Path, help="keep the figures in this file")
    arguments = parser.parse_args()
    print(machine_line())
    limits = [measure_limits(threads) for threads in sorted({1, arguments.threads})]
    show(limits)
    print(f"\n{arguments.network}, batch {arguments.batch}, {arguments.mode}, {arguments.threads} threads")
    layers = place(arguments.network, arguments.batch, arguments.mode, limits[-1], arguments.runs)
    show_layers(layers)
    if arguments.json:
        write_record(arguments.json, "roofline", vars(arguments), {"limits": limits, "layers": layers})


if __name__ == "__main__":
    main()
