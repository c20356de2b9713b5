"""The time that measuring may take, and how layers share it. Times are those of `time.perf_counter`."""

from __future__ import annotations

import time

import attrs

LEAST_TIMING = 0.3
"""Seconds of timing for a layer, if the budget has them."""
MAKING_SHARE = 0.75
"""Of a layer's share of the time, for making and verifying code; then those that are there are timed."""


@attrs.define
class Clock:
    """The budget of a network: when it ends, and what making candidates has taken so far."""

    end: float
    made: int = 0
    seconds: float = 0.0

    @property
    def over(self) -> bool:
        """Whether the time is used up."""
        return time.perf_counter() >= self.end

    @property
    def first_contest(self) -> float:
        """Seconds that the first contest of a layer is expected to take: two candidates, and timing them."""
        return 2 * self.seconds / self.made + LEAST_TIMING if self.made else 0.0


@attrs.define
class Share:
    """A layer's part of the time that the first contests of those behind it leave, and its slowest candidate so far."""

    clock: Clock
    part: float
    behind: int
    start: float = attrs.field(factory=time.perf_counter)
    slowest: float = 0.0

    @property
    def seconds(self) -> float:
        """How long it is, by what is known of making candidates now."""
        left = self.clock.end - self.start - self.behind * self.clock.first_contest
        return self.part * max(0.0, left)

    def made(self, seconds: float) -> None:
        """Note how long making a candidate took."""
        self.clock.made += 1
        self.clock.seconds += seconds
        self.slowest = max(self.slowest, seconds)

    @property
    def made_enough(self) -> bool:
        """Whether what is there should be timed: another candidate may take as long as the slowest one."""
        return time.perf_counter() + self.slowest >= self.start + MAKING_SHARE * self.seconds

    @property
    def over(self) -> bool:
        """Whether the next layer is to begin."""
        return time.perf_counter() >= self.start + self.seconds

    def timing_ends(self) -> float:
        """Return until when to time what was made now: what took longer than its share is timed all the same."""
        return min(self.clock.end, max(self.start + self.seconds, time.perf_counter() + LEAST_TIMING))
