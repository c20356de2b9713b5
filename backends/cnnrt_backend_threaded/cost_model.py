"""How fast this backend is expected to be: rates from which the kernels estimate their time where nothing was measured.

They rank kernels against each other and against other backends. Round figures for one core of a server processor of
2024, scaled by the width of the vectors; two threads are taken for 1.8.
"""

from __future__ import annotations

from cnnrt_backend_threaded.target import Machine

CYCLE = 1 / 3.5e9
"""Seconds."""

PASS_SECONDS = 8e-11
"""Reading or writing one float32 that is partly in the cache."""

MEMORY_BYTES = 25e9
"""Bytes a second from main memory, by however many threads."""

STEP_SECONDS = 3e-7
"""Dealing out a step and waiting for one another."""


def speed_up(machine: Machine) -> float:
    """Return what all cores are worth."""
    return 1 + 0.8 * (machine.cores - 1)


def pass_seconds(machine: Machine, values: int) -> float:
    """Return the seconds of work that touches so many values once."""
    return STEP_SECONDS + values * PASS_SECONDS / speed_up(machine)


def product_seconds(machine: Machine, instructions: float, weight_bytes: int) -> float:
    """Return the seconds of so many vector multiply-adds, two in a cycle, or of reading the weights once."""
    return STEP_SECONDS + max(instructions * CYCLE / 2 / 0.7 / speed_up(machine), weight_bytes / MEMORY_BYTES)
