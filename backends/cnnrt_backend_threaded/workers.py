"""The process's worker threads: started when they are needed, awake for a moment after each call, then asleep.

A call's own thread is thread 0, so n threads need n - 1 workers. Calls take turns, first come, first served, whichever
Net they belong to: two at a time would only get in each other's way. Workers run where the caller may run: a thread
keeps the affinity that it was started with, so theirs is set anew when a caller's is another one.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections.abc import Set
from contextlib import suppress

import numpy as np

from cnnrt_backend_threaded.aligned import aligned_words
from cnnrt_backend_threaded.team_code import CALL, LINE, STOP, TEAM_LINES, YIELD, team_code, yield_address
from cnnrt_backend_threaded.turns import Turns

AWAKE_SECONDS = 1e-3
"""How long a worker looks out for the next call before it sleeps: waking it takes about a twentieth of that."""


class Workers:
    """A team of threads. `run` may be called from any thread."""

    def __init__(self) -> None:
        self._turns = Turns()
        self._team = aligned_words(TEAM_LINES * LINE)
        self._team[YIELD] = yield_address()
        self._address = self._team.ctypes.data
        self._code = team_code()
        self._threads: list[threading.Thread] = []
        self._asleep: list[threading.Lock] = []
        self._allowed: Set[int] = frozenset()
        self._spins = _pauses_in(AWAKE_SECONDS)

    def run(self, steps: int, count: int, lines: int, threads: int, allowed: Set[int] = frozenset()) -> None:
        """Compute `count` steps, laid out at `steps` as `team_code` describes, on up to `threads` threads.

        A step has so many lines, at least `STEP_LINES` and one for each thread. `allowed`: the processors that the
        caller may run on, as `cnnrt.hardware.allowed_cores` gives them; none: workers stay where they are.
        """
        if threads == 1:
            self._code.run(self._address, steps, count, lines, 1)
            return
        with self._turns:
            if allowed and allowed != self._allowed:
                self._follow(allowed)
            self._rouse(threads - 1)
            self._code.run(self._address, steps, count, lines, threads)

    def stop(self) -> None:
        """End the workers; they are started anew if there is another call."""
        with self._turns:
            self._team[STOP] = 1
            self._wake(len(self._threads))
            for thread in self._threads:
                thread.join(timeout=1)
            self._threads.clear()
            self._team[STOP] = 0

    def _follow(self, allowed: Set[int]) -> None:
        """Let the workers run where their caller may; those to come inherit it."""
        self._allowed = frozenset(allowed)
        for thread in self._threads if hasattr(os, "sched_setaffinity") else ():
            with suppress(OSError):
                os.sched_setaffinity(thread.native_id or 0, allowed)

    def _rouse(self, needed: int) -> None:
        while len(self._threads) < needed:
            thread = threading.Thread(target=self._work, name=f"cnnrt-worker-{len(self._threads) + 1}", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # no more threads are allowed, or Python ends: those that there are do all the work
                break
            self._threads.append(thread)
        if self._asleep:
            self._wake(needed - (len(self._threads) - len(self._asleep)))

    def _wake(self, count: int) -> None:
        for _ in range(count):
            try:
                self._asleep.pop().release()
            except IndexError:
                return

    def _work(self) -> None:
        seen = 0
        bed = threading.Lock()
        bed.acquire()
        while True:
            seen = self._code.serve(self._address, seen, self._spins)
            if seen < 0:
                return
            self._asleep.append(bed)
            # A call that began just now, or the end, may have found nobody to wake.
            now = int(self._team[CALL])
            if (now % 2 == 1 and now != seen) or self._team[STOP]:
                try:
                    self._asleep.remove(bed)
                    continue
                except ValueError:  # it was woken after all: the bed is free at once
                    pass
            bed.acquire()


def _pauses_in(seconds: float) -> int:
    """Return how many pauses of the processor take that long: 10 to 200 cycles each, so it is measured."""
    sample = 1000
    durations = []
    for _ in range(3):
        started = time.perf_counter()
        team_code().pause(sample)
        durations.append(time.perf_counter() - started)
    return int(np.clip(seconds * sample / min(durations), 1000, 10_000_000))


_workers: Workers | None = None
_lock = threading.Lock()


def workers() -> Workers:
    """Return the process's workers."""
    global _workers
    found = _workers
    if found is not None:
        return found
    with _lock:
        if _workers is None:
            _workers = Workers()
            atexit.register(_workers.stop)
        return _workers


def _forget() -> None:
    """In a forked child: its parent's workers are not there, and who held a lock is gone."""
    global _workers, _lock
    if _workers is not None:
        atexit.unregister(_workers.stop)
    _workers = None
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
