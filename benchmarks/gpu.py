"""AlexNet on a device of OpenCL: against the sequential backend, and against PyTorch with cuDNN where there is a GPU.

    python -m benchmarks.gpu [NETWORK] [--device NAME] [--batch 16 128] [--runs 10] [--tune] [--json FILE]

Needs nothing from the network: weights are seeded. Printed for each batch: milliseconds with the transfers of input and
output, and without them; the speed-up over the sequential backend beside the paper's; the mean squared difference of
the softmax outputs; joules for each image where NVML has a counter (`pip install nvidia-ml-py`), and the ratio to those
of the sequential backend where RAPL has one. Times are medians of runs in turns: one of each contestant, then the next.

Without transfers, ours is the sum of the layers of a profile, by the clock of the device, from the begin of the first
kernel to the end of the last one; PyTorch's is measured by the host's, from images on the GPU to results there.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import attrs
import numpy as np

from benchmarks.gpu_energy import gpu_counter, joules_for, processor_counter
from benchmarks.networks import build
from benchmarks.record import machine_line, write_record
from benchmarks.torch_gpu import TorchChain, missing
from cnnrt import Net
from cnnrt.plugins import plugin_host

PAPER_SPEED_UP = 60
PAPER_ENERGY = 130
SEQUENTIAL_IMAGES = 16
"""Images that the sequential backend computes, whatever the batch: its time grows with their number."""


@attrs.frozen
class Measured:
    """Milliseconds of every run by contestant, mean squared difference to the sequential backend, joules an image."""

    batch: int
    ms: Mapping[str, list[float]]
    difference: float
    joules: Mapping[str, float]
    device: str = ""

    def median(self, contestant: str) -> float:
        """Return the median of all runs."""
        return statistics.median(self.ms[contestant])


def measure(net: Net, sequential: Net, theirs: TorchChain | None, batch: int, runs: int) -> Measured:
    """Return what one batch size takes."""
    images = np.random.default_rng(batch).standard_normal((batch, *_item(net)), np.float32)
    few = images[:SEQUENTIAL_IMAGES]
    result, expected = net.compute(images), sequential.compute(few)
    contestants: dict[str, Callable[[], float]] = {
        "cnnrt": lambda: _milliseconds(lambda: net.compute(images)),
        "cnnrt, no transfers": lambda: 1e3 * sum(t.run_seconds for t in net.profile(images).layers),
        "sequential": lambda: _milliseconds(lambda: sequential.compute(few)) * batch / len(few),
    }
    joules = {
        "cnnrt": joules_for(gpu_counter(), lambda: net.compute(images), batch),
        "sequential": joules_for(processor_counter(), lambda: sequential.compute(few), len(few)),
    }
    if theirs is not None:
        resident = theirs.resident(images)
        theirs(images)  # cuDNN chooses its kernels
        contestants["PyTorch"] = lambda: _milliseconds(lambda: theirs(images))
        contestants["PyTorch, no transfers"] = lambda: _milliseconds(lambda: theirs.compute(resident))
        joules["PyTorch"] = joules_for(gpu_counter(), lambda: theirs(images), batch)
    ms: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(runs):
        for name, run in contestants.items():
            ms[name].append(run())
    known = {name: value for name, value in joules.items() if value is not None}
    return Measured(batch, ms, float(np.mean((result[: len(few)] - expected) ** 2)), known)


def device_line(net: Net) -> str:
    """Return what a network runs on, with the version of its driver."""
    used = {row.device for row in net.plan.rows if row.segment >= 0}
    devices = [d for d in plugin_host().backends()["opencl"].devices() if d.name in used]
    return ", ".join(f"{d.description}, driver {d.details.get('driver', 'unknown')}" for d in devices)


def _item(net: Net) -> tuple[int, ...]:
    (value,) = net.graph.inputs
    return tuple(value.shape or ())


def _milliseconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1e3


def show(network: str, measured: Measured) -> None:
    """Print one batch size."""
    print(f"\n{network}, {measured.batch} images")
    for name in measured.ms:
        print(f"    {name:24}{measured.median(name):12.3f} ms")
    print(f"    {measured.median('sequential') / measured.median('cnnrt'):.1f} times faster than sequential (", end="")
    print(f"the paper: up to {PAPER_SPEED_UP}); mean squared difference {measured.difference:.1e}")
    for kind in ("", ", no transfers"):
        if f"PyTorch{kind}" in measured.ms:
            ratio = measured.median(f"cnnrt{kind}") / measured.median(f"PyTorch{kind}")
            print(f"    {ratio:.2f} times as long as PyTorch{kind}")
    for name, joules in measured.joules.items():
        print(f"    {name:24}{joules:12.4f} J for each image")
    if {"cnnrt", "sequential"} <= measured.joules.keys():
        ratio = measured.joules["sequential"] / measured.joules["cnnrt"]
        print(f"    {ratio:.0f} times less energy than sequential (the paper: {PAPER_ENERGY})")


def main() -> None:
    """Read the arguments, measure and print."""
    parser = argparse.ArgumentParser(description="AlexNet on a device of OpenCL")
    parser.add_argument("network", nargs="?", default="alexnet", help="one whose layers follow one another")
    parser.add_argument("--device", help="as `cnnrt devices` lists them; default: the preferred one")
    parser.add_argument("--batch", type=int, nargs="+", default=[16, 128])
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--tune", action="store_true", help="measure kernels first, and take the fastest")
    parser.add_argument("--json", type=Path, help="keep the samples in this file")
    arguments = parser.parse_args()
    results = run(arguments.network, arguments.device, arguments.batch, arguments.runs, tune=arguments.tune)
    if arguments.json:
        write_record(arguments.json, "gpu", vars(arguments), results)


def run(network: str, device: str | None, batches: Sequence[int], runs: int, *, tune: bool) -> list[Measured]:
    """Measure and print each batch size; strict, so that every layer is computed by a kernel of the device."""
    builder = build(network)
    results = []
    with tempfile.TemporaryDirectory() as folder:
        path = builder.write(Path(folder))
        with (
            Net(path, execution_mode="opencl", device=device, strict=True, auto_tuning=tune) as net,
            Net(path, execution_mode="sequential") as sequential,
        ):
            net.prepare((max(batches), *builder.item))
            print(f"{machine_line()}; {device_line(net)}")
            problem = missing()
            theirs = None if problem else TorchChain(net.graph, builder)
            print(f"left out: PyTorch: {problem}" if theirs is None else theirs.name)
            for batch in batches:
                results.append(measure(net, sequential, theirs, batch, runs))
                results[-1] = attrs.evolve(results[-1], device=device_line(net))
                show(network, results[-1])
    return results


if __name__ == "__main__":
    main()
