"""Copies between arrays of the host by a few threads: one alone does not keep a device's bus busy."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor

from cnnrt.hardware import usable_cores
from cnnrt.layer import Array

MOST_THREADS = 4
"""More gain nothing: then memory or the bus is what is waited for."""
LEAST_BYTES = 256 << 10
"""What is worth a thread: some tens of microseconds."""


class HostCopies:
    """Copies with up to so many threads, the caller's own among them; None: as many as help. They start when needed."""

    def __init__(self, threads: int | None) -> None:
        self._threads = max(1, min(MOST_THREADS, threads or MOST_THREADS, usable_cores()))
        self._pool: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()

    def copy(self, target: Array, source: Array) -> None:
        """Copy a flat array of bytes into one that is as long; returns when it is there."""
        parts = min(self._threads, max(1, source.size // LEAST_BYTES))
        step = -(-source.size // parts)
        others = range(step, source.size, step)
        waited = [self._start(target[i : i + step], source[i : i + step]) for i in others]
        target[:step] = source[:step]
        for future in waited:
            future.result()

    def _start(self, target: Array, source: Array) -> Future[None]:
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self._threads - 1, "cnnrt-copies")
        return self._pool.submit(_copy, target, source)


def _copy(target: Array, source: Array) -> None:
    target[...] = source
