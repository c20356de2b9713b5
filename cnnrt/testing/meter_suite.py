"""The suite of a meter: it says what it counts, counts upwards, or says what is missing."""

from __future__ import annotations

import time
from typing import ClassVar

import pytest

from cnnrt.errors import MeterError
from cnnrt.meter import EnergyCounter, Meter

READINGS = 3


class MeterSuite:
    """Everything a meter has to hold. A subclass states `meter`, an instance.

        class TestRapl(MeterSuite):
            meter = RaplMeter()

    Where its counter is missing, what needs one is skipped with the meter's reason.
    """

    meter: ClassVar[Meter]

    def test_it_is_described(self) -> None:
        """Listings show its name and one line that says what is counted."""
        assert self.meter.name.strip(), f"{type(self.meter).__name__}.name is empty"
        assert self.meter.description.strip(), f"{type(self.meter).__name__}.description is empty"

    def test_its_times_make_sense(self) -> None:
        """A window holds at least one reading."""
        window, read = self.meter.window_seconds, self.meter.read_seconds
        assert 0 < read <= window, f"read_seconds is {read}, window_seconds {window}; expected 0 < read <= window"

    def test_it_can_be_opened_or_says_why_not(self) -> None:
        """`problem` is a text; where it has something to say, `open` raises MeterError with a reason."""
        problem = self.meter.problem()
        assert isinstance(problem, str), f"problem() gives {problem!r}, not a text"
        if not problem:
            self.meter.open()
            return
        with pytest.raises(MeterError) as caught:
            self.meter.open()
        assert str(caught.value).strip(), "MeterError without a reason"

    def test_a_counter_starts_at_nothing_and_never_falls(self) -> None:
        """Joules are finite numbers, near 0 at first, and only grow."""
        counter = self._counter()
        started = time.monotonic()
        readings = []
        for _ in range(READINGS):
            readings.append(counter.joules())
            time.sleep(self.meter.read_seconds)
        seconds = time.monotonic() - started
        assert all(isinstance(joules, int | float) for joules in readings), f"joules() gives {readings}, not numbers"
        assert readings == sorted(readings), f"joules fall: {readings}"
        assert 0 <= readings[-1] < 1e5 * max(seconds, 1e-3), f"{readings} J in {seconds:.2f} s is no machine's energy"

    def test_counters_are_independent(self) -> None:
        """A counter that is opened later knows nothing of what another one counted before."""
        first = self._counter()
        first.joules()
        time.sleep(2 * self.meter.read_seconds)
        before = first.joules()
        second = self._counter().joules()
        assert second <= max(before, first.joules()), f"a new counter starts at {second} J"

    def _counter(self) -> EnergyCounter:
        problem = self.meter.problem()
        if problem:
            pytest.skip(problem)
        return self.meter.open()
