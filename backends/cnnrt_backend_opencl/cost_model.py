"""How fast devices are expected to be where nothing was measured: rates from what a device reports.

They rank kernels against each other; against other backends only roughly, since a device tells little of itself. What
`"parallel"` shares layers out by are measurements, where `auto_tuning` is on.
"""

from __future__ import annotations

from cnnrt.backend import Device
from cnnrt_backend_opencl.limits import limits_of

LAUNCH_SECONDS = 1e-5
"""Beginning a kernel."""


PASSAGE_SECONDS = 2e-5
"""Beginning to move a value into a device's own memory or out of it, and waiting for it: a round figure."""

PASSAGE_BYTES = 1e10
"""Bytes a second by way of pinned memory, which a few threads fill: a round figure for cards on PCI Express 3 and 4."""

MAPPING_SECONDS = 1e-5
"""Handing an array of the process to a device that shares its memory, or taking it back: a round figure."""


def passage_seconds(device: Device, nbytes: int) -> float:
    """Return the seconds of moving a value of so many bytes into a device's memory, or out of it."""
    if limits_of(device).shares_memory:
        return MAPPING_SECONDS
    return PASSAGE_SECONDS + nbytes / PASSAGE_BYTES


def values_per_second(device: Device) -> float:
    """Return how many float32 a device reads or writes: round figures for a processor's core, and a multiprocessor."""
    limits = limits_of(device)
    return limits.compute_units * (2e9 if limits.cpu else 5e9)


def operations_per_second(device: Device) -> float:
    """Return how many float32 operations a device does: half of what round figures for its units give."""
    limits = limits_of(device)
    return limits.compute_units * (2e10 if limits.cpu else 1e11)


def pass_seconds(device: Device, values: float) -> float:
    """Return the seconds of work that touches so many values once."""
    return LAUNCH_SECONDS + values / values_per_second(device)


def product_seconds(device: Device, operations: float) -> float:
    """Return the seconds of so many operations."""
    return LAUNCH_SECONDS + operations / operations_per_second(device)
