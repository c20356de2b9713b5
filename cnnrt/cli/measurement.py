"""Measures how fast a network runs: warmed up, many runs, the median."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping

import attrs
import numpy as np

from cnnrt.cli.energy import EnergyMeters, EnergyUse
from cnnrt.cli.progress import progress_between
from cnnrt.layer import Array, Shape
from cnnrt.net import Net
from cnnrt.plan import Plan
from cnnrt.process_memory import forget_peak, peak_bytes
from cnnrt.profile import LayerTime

SEED = 2016
WARM_UP_SECONDS = 0.2
LEAST_RUNS = 3
PROFILED_RUNS = 20


@attrs.frozen
class Measurement:
    """What was measured: `seconds` of each run of a whole batch, after the warm-up; `flops` of one run.

    `peak_bytes`: the process's peak while preparing and running; `peak_of_mode` tells whether it is this mode's alone.
    `layers`: medians, empty where they were not asked for. `energy`: by each meter that can be read.
    """

    plan: Plan
    images: int
    prepare_seconds: float
    seconds: tuple[float, ...]
    flops: int
    peak_bytes: int
    peak_of_mode: bool
    layers: tuple[LayerTime, ...] = ()
    energy: tuple[EnergyUse, ...] = ()

    @property
    def median(self) -> float:
        """Median seconds of a run."""
        return statistics.median(self.seconds)

    @property
    def quartiles(self) -> tuple[float, float]:
        """Seconds between which half of the runs lie."""
        if len(self.seconds) < 2:
            return self.seconds[0], self.seconds[0]
        low, _, high = statistics.quantiles(self.seconds, n=4, method="inclusive")
        return low, high

    @property
    def best(self) -> float:
        """Seconds of the fastest run."""
        return min(self.seconds)


def random_inputs(shapes: Mapping[str, Shape]) -> dict[str, Array]:
    """Return the same normally distributed float32 numbers for the same shapes."""
    generator = np.random.default_rng(SEED)
    return {name: generator.standard_normal(shape, np.float32) for name, shape in shapes.items()}


def measure(
    net: Net,
    shapes: Mapping[str, Shape],
    *,
    seconds: float,
    runs: int | None,
    layers: bool,
    meters: EnergyMeters | None = None,
) -> Measurement:
    """Run `net` on random inputs, exactly `runs` times or for `seconds` (at least three times), and time each run.

    Energy is measured in runs of its own, so that reading counters disturbs no time: for `seconds` again, or for as
    long as the meters need.
    """
    peak_of_mode = forget_peak()
    arrays = random_inputs(shapes)
    started = time.perf_counter()
    plan = net.prepare(shapes)
    prepare_seconds = time.perf_counter() - started
    _warm_up(net, arrays)
    times: list[float] = []
    with progress_between("measuring", runs) as count_up:
        until = time.perf_counter() + seconds
        while len(times) < (runs or LEAST_RUNS) or (runs is None and time.perf_counter() < until):
            started = time.perf_counter()
            net.compute(arrays)
            times.append(time.perf_counter() - started)
            count_up(1)
    peak = peak_bytes()
    images = next(iter(shapes.values()))[0]
    return Measurement(
        plan=plan,
        images=images,
        prepare_seconds=prepare_seconds,
        seconds=tuple(times),
        flops=sum(row.flops for row in plan.rows),
        peak_bytes=peak,
        peak_of_mode=peak_of_mode,
        layers=_layer_times(net, arrays, min(PROFILED_RUNS, len(times))) if layers else (),
        energy=() if meters is None else meters.use(lambda: net.compute(arrays), images, seconds),
    )


def _warm_up(net: Net, arrays: Mapping[str, Array]) -> None:
    """Run at least once: the first runs fault memory in, and processors clock up."""
    until = time.perf_counter() + WARM_UP_SECONDS
    while True:
        net.compute(arrays)
        if time.perf_counter() >= until:
            return


def _layer_times(net: Net, arrays: Mapping[str, Array], runs: int) -> tuple[LayerTime, ...]:
    profiles = [net.profile(arrays).layers for _ in range(runs)]
    return tuple(
        LayerTime(
            of_layer[0].layer,
            statistics.median(t.run_seconds for t in of_layer),
            statistics.median(t.load_seconds for t in of_layer),
        )
        for of_layer in zip(*profiles, strict=True)
    )
