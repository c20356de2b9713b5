"""What weights in half precision save, what they cost in accuracy, and whether they are faster.

    python -m benchmarks.weight_storage [NETWORK ...] [--images 64] [--rounds 15] [--json FILE]

Each network runs on the preferred device of OpenCL, with its weights in float32 and in float16. Compared are, over
random images: the values before the softmax (the largest difference by the largest value), the outputs of the softmax
(mean squared error), and the class that comes first. Both are timed at batch 1, taking turns, with the kernels that the
cost model chooses for each: Winograd's keep float32 only.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import attrs
import numpy as np

from benchmarks.networks import NETWORKS, build
from benchmarks.record import machine_line, write_record
from cnnrt import Net
from cnnrt.cli.measurement import random_inputs
from cnnrt.layer import Array

MIB = 1 << 20


@attrs.frozen
class Kept:
    """A network with its weights in one type: bytes of weights, planned peak at batch 1, seconds of each round."""

    weights: int
    peak: int
    seconds: tuple[float, ...]


@attrs.frozen
class Compared:
    """A network in both types, and how far results are apart: `agree` of `images` have the same class first."""

    network: str
    whole: Kept
    half: Kept
    relative: float
    mean_squared: float
    agree: int
    images: int

    @property
    def faster(self) -> float:
        """The median of the rounds' ratios: how many times faster float16 is."""
        return statistics.median(a / b for a, b in zip(self.whole.seconds, self.half.seconds, strict=True))


def compare(name: str, images: int, rounds: int) -> Compared:
    """Run a network in both types."""
    builder = build(name)
    batch = random_inputs({"data": (images, *builder.item)})["data"]
    with tempfile.TemporaryDirectory() as folder:
        path = builder.write(Path(folder))
        with (
            Net(path, execution_mode="opencl") as whole,
            Net(path, execution_mode="opencl", weight_storage="float16") as half,
        ):
            results = [_results(net, batch) for net in (whole, half)]
            plans = [net.prepare((1, *builder.item)) for net in (whole, half)]
            seconds = _take_turns(whole, half, batch[:1], rounds)
    (scores, shares), (half_scores, half_shares) = results
    return Compared(
        network=name,
        whole=Kept(plans[0].memory.resident, plans[0].memory.peak, tuple(seconds[0])),
        half=Kept(plans[1].memory.resident, plans[1].memory.peak, tuple(seconds[1])),
        relative=float(np.abs(scores - half_scores).max() / np.abs(scores).max()),
        mean_squared=float(np.square(shares - half_shares, dtype=np.float64).mean()),
        agree=int((scores.argmax(axis=1) == half_scores.argmax(axis=1)).sum()),
        images=images,
    )


def _results(net: Net, batch: Array) -> tuple[Array, Array]:
    """Return what goes into the softmax, and what comes out."""
    softmax = net.graph.nodes[-1]
    parts = [net.compute(batch[i : i + 16], outputs=[softmax.inputs[0], softmax.outputs[0]]) for i in _starts(batch)]
    scores, shares = (np.concatenate([p[name] for p in parts]) for name in (softmax.inputs[0], softmax.outputs[0]))
    return scores.reshape(len(batch), -1), shares.reshape(len(batch), -1)


def _starts(batch: Array) -> Sequence[int]:
    return range(0, len(batch), 16)


def _take_turns(whole: Net, half: Net, image: Array, rounds: int) -> tuple[list[float], list[float]]:
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds + 1):
        for net, times in zip((whole, half), seconds, strict=True):
            started = time.perf_counter()
            net.compute(image)
            times.append(time.perf_counter() - started)
    return seconds[0][1:], seconds[1][1:]


def show(found: Compared) -> None:
    """Print a row."""
    sizes = f"{found.whole.weights / MIB:9.2f} {found.half.weights / MIB:9.2f} {found.whole.peak / MIB:9.2f}"
    times = [1e3 * statistics.median(kept.seconds) for kept in (found.whole, found.half)]
    print(
        f"{found.network:11}{sizes} {found.half.peak / MIB:9.2f} {found.relative:9.2g} {found.mean_squared:9.2g} "
        f"{found.agree:4}/{found.images:<4} {times[0]:9.3f} {times[1]:9.3f} {found.faster:7.2f}",
        flush=True,
    )


def main() -> None:
    """Compare networks and print a table."""
    parser = argparse.ArgumentParser(description="weights in half precision on a device of OpenCL")
    parser.add_argument("networks", nargs="*", default=list(NETWORKS), metavar="NETWORK", help=", ".join(NETWORKS))
    parser.add_argument("--images", type=int, default=64, help="random images that results are compared on")
    parser.add_argument("--rounds", type=int, default=15, help="calls of batch 1 that are timed, of each")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the raw samples")
    arguments = parser.parse_args()
    print(machine_line())
    print(
        f"{'':11}{'MiB':>9} {'half':>9} {'peak':>9} {'half':>9} {'relative':>9} {'MSE':>9} {'same':>9} "
        f"{'ms':>9} {'half':>9} {'faster':>7}"
    )
    results = []
    for name in arguments.networks:
        results.append(compare(name, arguments.images, arguments.rounds))
        show(results[-1])
    if arguments.json:
        write_record(arguments.json, "weight_storage", vars(arguments), results)


if __name__ == "__main__":
    main()
