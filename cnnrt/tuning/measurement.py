"""Kernels timed against each other: in turns, so that what slows the machine down slows all of them down.

A winner has to beat the default by more than chance does: in each round both were timed one after the other, and the
median of these differences must be above three times its standard error (1.2533 sigma / sqrt(n) for a median, sigma
from the median absolute deviation, which a few interrupted runs do not move).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

import attrs
import numpy as np  # its median: that of the standard library loads decimal fractions

LEAST_ROUNDS = 5
MOST_ROUNDS = 40
HOPELESS = 1.5
"""A first run that takes so many times the fastest one's ends a candidate's trial."""
SHORTEST = 2e-4
"""Seconds of one timing; shorter calls are repeated."""
CERTAINTY = 3.0
"""Standard errors."""

Run = Callable[[], float | None]
"""Computes something once; returns the seconds by a clock of its own, or None: then wall time counts."""


@attrs.frozen
class Timing:
    """The seconds of one call in each round."""

    rounds: tuple[float, ...]

    @property
    def seconds(self) -> float:
        """The median."""
        return float(np.median(self.rounds))

    @property
    def noise(self) -> float:
        """The standard error of the median; all of it where there was one round."""
        return standard_error(self.rounds)


def time_in_turns(runs: Sequence[Run], until: float) -> list[Timing]:
    """Return a timing of each, the default first; `until` (of `time.perf_counter`) ends it after a few rounds.

    Candidates that are hopeless after the first round are not run again. What was not timed at all has no rounds.
    """
    times: list[list[float]] = [[] for _ in runs]
    repeats: list[int] = []
    for run, own in zip(runs, times, strict=True):
        run()  # whatever is made at the first call
        once = _timed(run, 1)
        repeats.append(max(1, min(1000, math.ceil(SHORTEST / max(once, 1e-9)))))
        own.append(_timed(run, repeats[-1]))
        if time.perf_counter() > until and own is not times[-1]:
            return [Timing(tuple(t)) for t in times]
    fastest = min(t[0] for t in times)
    alive = [i for i, t in enumerate(times) if i == 0 or t[0] <= HOPELESS * fastest]
    for done in range(1, MOST_ROUNDS):
        if done >= LEAST_ROUNDS and time.perf_counter() > until:
            break
        for i in alive:
            times[i].append(_timed(runs[i], repeats[i]))
    return [Timing(tuple(t)) for t in times]


def winner_of(timings: Sequence[Timing]) -> int:
    """Return the index of the fastest that beats the first, the default, by more than chance; else 0."""
    default = timings[0].rounds
    best = 0
    for i, timing in enumerate(timings):
        enough = i > 0 and len(timing.rounds) >= min(LEAST_ROUNDS, len(default)) > 1
        if enough and timing.seconds < timings[best].seconds and _beats(timing.rounds, default):
            best = i
    return best


def standard_error(values: Sequence[float]) -> float:
    """Return the standard error of the median of some values, as if they were normally distributed but for outliers."""
    if len(values) < 2:
        return abs(values[0]) if values else 0.0
    middle = float(np.median(values))
    sigma = 1.4826 * float(np.median([abs(v - middle) for v in values]))
    return 1.2533 * sigma / math.sqrt(len(values))


def _beats(rounds: Sequence[float], default: Sequence[float]) -> bool:
    saved = [d - r for r, d in zip(rounds, default, strict=False)]
    return float(np.median(saved)) > CERTAINTY * standard_error(saved)


def _timed(run: Run, times: int) -> float:
    started, own = time.perf_counter(), 0.0
    for _ in range(times):
        own += run() or 0.0
    return (own or time.perf_counter() - started) / times
