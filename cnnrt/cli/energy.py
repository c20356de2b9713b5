"""Measures the energy that a network takes: joules while it runs, less what the idle machine takes in that time."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

import attrs

from cnnrt.errors import MeterError
from cnnrt.meter import EnergyCounter, Meter

LEAST_WINDOWS = 5
"""Windows of each measurement: their standard deviation is the spread."""
Clock = Callable[[], float]


@attrs.frozen
class Observed:
    """What one meter showed: joules in all over `seconds`, in which the work was done `runs` times.

    `watts` are those of windows of `Meter.window_seconds`, one after the other.
    """

    joules: float
    seconds: float
    runs: int
    watts: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Watts over the whole time."""
        return self.joules / self.seconds

    @property
    def spread(self) -> float:
        """Standard deviation of the windows' watts."""
        return statistics.stdev(self.watts)


@attrs.frozen
class EnergyUse:
    """What a network took by one meter: `idle` was observed before, `busy` while it ran on `images` images."""

    meter: str
    idle: Observed
    busy: Observed
    images: int

    @property
    def watts(self) -> float:
        """Power above the idle machine's."""
        return self.busy.mean - self.idle.mean

    @property
    def watts_spread(self) -> float:
        """Standard deviation of that difference, both sides counted."""
        return math.hypot(self.busy.spread, self.idle.spread)

    @property
    def joules_per_image(self) -> float:
        """Energy of one image, the idle share subtracted."""
        return self.watts * self.busy.seconds / self.images

    @property
    def joules_per_image_spread(self) -> float:
        """Standard deviation of that energy."""
        return self.watts_spread * self.busy.seconds / self.images


@attrs.define
class EnergyMeters:
    """The meters that can be read here, with what each showed while nothing ran, and why the others are left out."""

    meters: tuple[Meter, ...]
    idle: Mapping[str, Observed]
    left_out: dict[str, str]

    def use(self, run: Callable[[], object], images: int, seconds: float) -> tuple[EnergyUse, ...]:
        """Do `run`, which computes so many images, for so long at least, and return what each meter shows.

        A meter that cannot be read any more is left out from then on.
        """
        usable = [meter for meter in self.meters if meter.name not in self.left_out]
        busy = observe(usable, run, seconds, self.left_out)
        return tuple(
            EnergyUse(name, self.idle[name], observed, observed.runs * images) for name, observed in busy.items()
        )


def watch_idle(meters: Iterable[Meter]) -> EnergyMeters:
    """Find the meters that can be read and observe them while this process sleeps."""
    usable, left_out = [], {}
    for meter in meters:
        reason = why_unreadable(meter)
        if reason:
            left_out[meter.name] = reason
        else:
            usable.append(meter)
    pause = min((meter.read_seconds for meter in usable), default=0.0)
    idle = observe(usable, lambda: time.sleep(pause), 0.0, left_out)
    return EnergyMeters(tuple(meter for meter in usable if meter.name in idle), idle, left_out)


def observe(
    meters: Sequence[Meter],
    work: Callable[[], object],
    seconds: float,
    failed: dict[str, str],
    clock: Clock = time.perf_counter,
) -> dict[str, Observed]:
    """Do `work` again and again, for `seconds` and until each meter has seen enough windows; return what they showed.

    Meters that cannot be read are put into `failed` with the reason.
    """
    watches: list[_Watch] = []
    for meter in meters:
        try:
            watches.append(_Watch(meter, clock))
        except MeterError as error:
            failed[meter.name] = str(error)
    runs = 0
    started = clock()
    while watches and (clock() - started < seconds or any(len(w.watts) < LEAST_WINDOWS for w in watches)):
        work()
        runs += 1
        watches = [w for w in watches if _reads(w, failed, w.is_due())]
    return {w.meter.name: w.seen(runs) for w in watches if _reads(w, failed, True)}


class _Watch:
    """One meter's counter during a measurement."""

    def __init__(self, meter: Meter, clock: Clock) -> None:
        self.meter = meter
        self.watts: list[float] = []
        self._clock = clock
        self._counter: EnergyCounter = meter.open()
        self._started = self._read = self._window = (clock(), self._counter.joules())

    def is_due(self) -> bool:
        """Tell whether it is time to read the counter again."""
        return self._clock() - self._read[0] >= self.meter.read_seconds

    def read(self) -> None:
        """Read the counter, and end the window if it is long enough."""
        joules = self._counter.joules()
        self._read = (self._clock(), joules)
        length = self._read[0] - self._window[0]
        if length >= self.meter.window_seconds:
            self.watts.append((joules - self._window[1]) / length)
            self._window = self._read

    def seen(self, runs: int) -> Observed:
        """Return everything up to the latest reading."""
        (first, before), (last, after) = self._started, self._read
        return Observed(after - before, last - first, runs, tuple(self.watts))


def _reads(watch: _Watch, failed: dict[str, str], due: bool) -> bool:
    """Read a counter if it is due; tell whether that went well."""
    try:
        if due:
            watch.read()
    except MeterError as error:
        failed[watch.meter.name] = str(error)
        return False
    return True


def why_unreadable(meter: Meter) -> str:
    """Return why a meter cannot be read, empty if it can; one that fails to say cannot, with its failure."""
    try:
        return meter.problem()
    except Exception as error:
        return f"{type(error).__name__}: {error}; this is a fault of the meter"
