"""What a meter is: a plugin that reads a counter of energy."""

from __future__ import annotations

import abc
from typing import ClassVar, Protocol


class EnergyCounter(Protocol):
    """A counter that a meter opened: it starts at 0 and belongs to one measurement."""

    def joules(self) -> float:
        """Return the joules since it was opened; they never fall.

        To be called every `Meter.read_seconds` at least: a hardware counter may wrap, and where only the power can be
        read, this is its sample. Raises MeterError where the counter can no longer be read.
        """
        ...


class Meter(abc.ABC):
    """Reads the energy that a part of this machine takes.

    - `name` is used in messages and JSON; `description` is one line for listings that says what is counted.
    - `window_seconds`: the shortest time over which two readings tell the power; counters change in steps.
    - `read_seconds`: the longest pause between two calls of `joules`.

    `problem` and `open` may be called at any time and from any thread; making a meter reads nothing.
    """

    name: ClassVar[str]
    description: ClassVar[str] = ""
    window_seconds: ClassVar[float] = 0.2
    read_seconds: ClassVar[float] = 0.1

    @abc.abstractmethod
    def problem(self) -> str:
        """Return why there is nothing to read now: which counter is missing and what to do. Empty: it can be opened.

        Never raises.
        """

    @abc.abstractmethod
    def open(self) -> EnergyCounter:
        """Return a counter that starts now. Raises MeterError where `problem` has something to say."""
