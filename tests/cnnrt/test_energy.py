"""Energy of a network: what is read when, what is subtracted, and what happens to meters that fail."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from cnnrt.cli.energy import LEAST_WINDOWS, EnergyMeters, EnergyUse, Observed, observe, watch_idle
from cnnrt.errors import MeterError
from cnnrt.meter import EnergyCounter, Meter


class World:
    """Time, and a machine whose power is a function of it."""

    def __init__(self, watts: Callable[[float], float] = lambda now: 10.0) -> None:
        self.now = 0.0
        self.joules = 0.0
        self.watts = watts

    def clock(self) -> float:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.joules += self.watts(self.now) * seconds
        self.now += seconds


class Reader(Meter):
    """Reads a world. It fails after `last` readings; `readings` are the times of all."""

    name = "reader"

    def __init__(self, world: World, last: float = float("inf")) -> None:
        self.world = world
        self.last = last
        self.readings: list[float] = []

    def problem(self) -> str:
        return ""

    def open(self) -> EnergyCounter:
        start, meter = self.world.joules, self

        class Counter:
            def joules(self) -> float:
                if len(meter.readings) >= meter.last:
                    raise MeterError("the wire fell off")
                meter.readings.append(meter.world.now)
                return meter.world.joules - start

        return Counter()


def test_joules_seconds_and_runs_belong_together() -> None:
    world = World()
    found = observe([Reader(world)], lambda: world.pass_by(0.25), 3.0, {}, world.clock)["reader"]
    assert (found.seconds, found.joules, found.runs) == (3.0, 30.0, 12)
    assert found.mean == 10
    assert found.spread == 0


def test_it_goes_on_until_there_are_windows_enough() -> None:
    world = World()
    found = observe([Reader(world)], lambda: world.pass_by(0.25), 0.0, {}, world.clock)["reader"]
    assert len(found.watts) == LEAST_WINDOWS
    assert found.runs == LEAST_WINDOWS, "a run is longer than a window here"


def test_counters_are_read_in_time_but_not_after_each_short_run() -> None:
    world = World()
    reader = Reader(world)
    observe([reader], lambda: world.pass_by(1 / 1024), 2.0, {}, world.clock)
    pauses = [after - before for before, after in itertools.pairwise(reader.readings)]
    assert max(pauses) <= Reader.read_seconds + 2 / 1024
    assert len(pauses) < 30


def test_the_spread_is_that_of_the_windows() -> None:
    world = World(lambda now: 12.0 if int(now) % 2 else 8.0)
    found = observe([Reader(world)], lambda: world.pass_by(1.0), 20.0, {}, world.clock)["reader"]
    assert found.mean == 10
    assert found.spread == pytest.approx(2.05, abs=0.01)


def test_the_idle_share_is_subtracted_and_both_spreads_count() -> None:
    idle = Observed(joules=10.0, seconds=5.0, runs=1, watts=(1.0, 2.0, 3.0))
    busy = Observed(joules=50.0, seconds=10.0, runs=5, watts=(4.0, 5.0, 6.0))
    use = EnergyUse("reader", idle, busy, images=100)
    assert use.watts == 3.0
    assert use.watts_spread == pytest.approx(2**0.5)
    assert use.joules_per_image == pytest.approx(3.0 * 10 / 100)
    assert use.joules_per_image_spread == pytest.approx(2**0.5 * 10 / 100)


def test_a_meter_that_fails_on_the_way_is_left_out_with_its_reason() -> None:
    world = World()
    failed: dict[str, str] = {}
    assert observe([Reader(world, last=3)], lambda: world.pass_by(1.0), 10.0, failed, world.clock) == {}
    assert failed == {"reader": "the wire fell off"}
    assert world.now < 10, "nothing is left to wait for"


def test_a_meter_that_failed_is_not_asked_again() -> None:
    reader = Reader(World())
    idle = Observed(1.0, 1.0, 1, (1.0, 1.0))
    meters = EnergyMeters((reader,), {"reader": idle}, {"reader": "the wire fell off"})
    assert meters.use(lambda: None, images=1, seconds=0.0) == ()
    assert reader.readings == []


def test_without_meters_nothing_is_waited_for() -> None:
    assert observe([], lambda: pytest.fail("there is nothing to measure"), 5.0, {}) == {}


def test_a_meter_that_breaks_its_promise_disturbs_nobody() -> None:
    class Faulty(Reader):
        name = "faulty"

        def problem(self) -> str:
            raise ZeroDivisionError("volts")

    found = watch_idle([Faulty(World())])
    assert found.meters == ()
    assert found.left_out == {"faulty": "ZeroDivisionError: volts; this is a fault of the meter"}
