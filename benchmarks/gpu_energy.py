"""Joules of a GPU by NVML's counter and of the processor by RAPL's, where they can be read."""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib.util import find_spec

from cnnrt.plugins import plugin_host

WINDOW_SECONDS = 2.0
"""How long work is repeated while its energy is counted: the counters change in steps of up to a tenth of a second."""
Counter = Callable[[], float]
"""Returns joules since some moment."""


def gpu_counter() -> Counter | None:
    """Return the energy counter of the first GPU of NVML; None where there is none."""
    if find_spec("pynvml") is None:
        return None
    import pynvml

    try:
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByIndex(0)
        pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except pynvml.NVMLError:
        return None
    return lambda: float(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)) / 1e3


def processor_counter() -> Counter | None:
    """Return the processor's energy counter; None where it cannot be read."""
    meter = plugin_host().meters().get("rapl")
    return None if meter is None or meter.problem() else meter.open().joules


def joules_for(counter: Counter | None, work: Callable[[], object], images: int) -> float | None:
    """Return the joules of an image, the idle device's included, by repeating work that computes so many."""
    if counter is None:
        return None
    work()
    runs = 0
    start, started = counter(), time.perf_counter()
    while time.perf_counter() - started < WINDOW_SECONDS or runs == 0:
        work()
        runs += 1
        counter()
    return (counter() - start) / (runs * images)
