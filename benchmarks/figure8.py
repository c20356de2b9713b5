"""CNNdroid's Figure 8 on this machine: run times sequential and accelerated, and the speed-up.

    python -m benchmarks.figure8 [NETWORK ...] [--batch 16] [--runs 10] [--json FILE]

As in the paper (Latifi Oskouei et al., ACM Multimedia 2016): LeNet, Alex's CIFAR-10 and AlexNet, 16 images, the mean of
ten runs, models loaded beforehand, tuning off; (a) the whole network, (b) its heaviest convolution layer. There is a
column for each backend that can be used here. Each warms up and has its ten runs in a row, then the next.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from benchmarks.networks import NETWORKS, build
from benchmarks.record import machine_line, write_record
from cnnrt import Net
from cnnrt.cli.measurement import random_inputs
from cnnrt.layer import Array
from cnnrt.plugins import plugin_host

PAPER = (
    "CNNdroid's paper: up to 60 times, on the GPUs of a Galaxy Note 4 and a One M9 over single-threaded Java on their\n"
    "CPUs; here the sequential backend is the base, which blocks for the caches and multiplies matrices by BLAS"
)
WARM_UP_RUNS = 3
BASE = "sequential"


@attrs.define
class Row:
    """Milliseconds of every run by backend, of a network or of one layer of it.

    `references`: the backends that lack a kernel for some layer.
    """

    title: str
    ms: dict[str, list[float]] = attrs.field(factory=dict)
    references: list[str] = attrs.field(factory=list)

    def mean(self, backend: str) -> float:
        """Return the mean of all runs."""
        return statistics.mean(self.ms[backend])

    def speed_up(self, backend: str) -> float:
        """Return how many times faster than sequential."""
        return self.mean(BASE) / self.mean(backend)


def usable_backends() -> tuple[list[str], dict[str, str]]:
    """Return the backends that can be used here, sequential first, and why the others cannot."""
    usable, left_out = [], {}
    for name, backend in plugin_host().backends().items():
        problems = [device.problem for device in backend.devices()]
        if all(problems):
            left_out[name] = "; ".join(problems) or "no device"
        else:
            usable.append(name)
    return sorted(usable, key=lambda name: (name != BASE, name)), left_out


def measure(name: str, backends: Sequence[str], batch: int, runs: int) -> tuple[Row, Row]:
    """Return the times of a network, and of its convolution with the most operations."""
    builder = build(name)
    images = random_inputs({"data": (batch, *builder.item)})["data"]
    with tempfile.TemporaryDirectory() as folder:
        path = builder.write(Path(folder))
        nets = {backend: Net(path, execution_mode=backend) for backend in backends}
        plans = {backend: net.prepare(images.shape) for backend, net in nets.items()}
        convolutions = [row for row in plans[BASE].rows if row.type == "Convolution"]
        heaviest = max(convolutions, key=lambda row: row.flops).layer
        whole, layer = Row(name), Row(f"{name} {heaviest}")
        for backend, net in nets.items():
            for _ in range(WARM_UP_RUNS):
                net.compute(images)
            whole.ms[backend] = [_milliseconds(net, images) for _ in range(runs)]
            # A profile runs layer by layer, which makes the whole network slower: hence runs of its own.
            profiles = [net.profile(images).layers for _ in range(runs)]
            layer.ms[backend] = [t.run_seconds * 1e3 for layers in profiles for t in layers if t.layer == heaviest]
        for backend, plan in plans.items():
            if plan.fallbacks:
                whole.references.append(backend)
            nets[backend].close()
    return whole, layer


def _milliseconds(net: Net, images: Array) -> float:
    started = time.perf_counter()
    net.compute(images)
    return (time.perf_counter() - started) * 1e3


def show(heading: str, rows: Sequence[Row], backends: Sequence[str]) -> None:
    """Print one half of the figure."""
    heads = [f"{BASE} ms"]
    for backend in backends[1:]:
        heads += [f"{backend} ms", "speed-up"]
    print(f"\n{heading}\n{'':18}" + "".join(f"{head:>16}" for head in heads))
    for row in rows:
        cells = [f"{row.mean(BASE):.3f}"]
        for backend in backends[1:]:
            cells += [f"{row.mean(backend):.3f}", f"{row.speed_up(backend):.2f}"]
        print(f"{row.title:18}" + "".join(f"{cell:>16}" for cell in cells))
        for backend in row.references:
            print(f"{'':18}{backend} runs some of its layers by their reference")


def main() -> None:
    """Read the arguments, measure, and print both halves."""
    parser = argparse.ArgumentParser(description="CNNdroid's Figure 8")
    names = ["lenet", "cifar10", "alexnet"]
    parser.add_argument("networks", nargs="*", default=names, metavar="NETWORK", help=", ".join(NETWORKS))
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--json", type=Path, help="keep the samples in this file")
    arguments = parser.parse_args()
    backends, left_out = usable_backends()
    print(f"{machine_line()}; {arguments.batch} images, mean of {arguments.runs} runs")
    for name, reason in left_out.items():
        print(f"left out: {name}: {reason}")
    measured = [measure(name, backends, arguments.batch, arguments.runs) for name in arguments.networks]
    whole, layers = ([pair[half] for pair in measured] for half in (0, 1))
    show("(a) the whole network", whole, backends)
    show("(b) the heaviest convolution layer", layers, backends)
    print(f"\n{PAPER}")
    if arguments.json:
        results = {"networks": _by_title(whole), "heaviest_convolutions": _by_title(layers), "left_out": left_out}
        write_record(arguments.json, "figure8", vars(arguments), results)


def _by_title(rows: Sequence[Row]) -> Mapping[str, Row]:
    return {row.title: row for row in rows}


if __name__ == "__main__":
    main()
