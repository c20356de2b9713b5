"""Progress of anything that takes longer than a second: on stderr, and only where that is a terminal."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress

PATIENCE = 1.0
"""Seconds before anything is shown."""
PAUSE = 0.25
"""Seconds between two drawings of `progress_between`."""

CountUp = Callable[[int], None]


@contextmanager
def progress(what: str, total: int | None = None) -> Iterator[CountUp]:
    """Show that `what` is being done, until the block ends; the function it yields counts up to `total`."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield _nothing
        return
    display = _display(total, live=True)
    task = display.add_task(what, total=total)
    later = threading.Timer(PATIENCE, display.start)
    later.daemon = True
    later.start()
    try:
        yield lambda done: display.advance(task, done)
    finally:
        later.cancel()
        later.join()
        display.stop()


@contextmanager
def progress_between(what: str, total: int | None = None) -> Iterator[CountUp]:
    """Do as `progress`, but draw only inside the function that is yielded: no thread disturbs what is measured."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield _nothing
        return
    display = _display(total, live=False)
    task = display.add_task(what, total=total)
    next_drawing = time.perf_counter() + PATIENCE

    def count_up(done: int) -> None:
        nonlocal next_drawing
        display.advance(task, done)
        if time.perf_counter() >= next_drawing:
            display.start()
            display.refresh()
            next_drawing = time.perf_counter() + PAUSE

    try:
        yield count_up
    finally:
        display.stop()


def _display(total: int | None, *, live: bool) -> Progress:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
    )

    console = Console(file=sys.stderr)
    spinner = SpinnerColumn("line" if console.options.ascii_only else "dots")
    parts: list[ProgressColumn] = [spinner, TextColumn("{task.description}", markup=False)]
    if total is not None:
        parts += [BarColumn(), MofNCompleteColumn()]
    return Progress(*parts, TimeElapsedColumn(), console=console, transient=True, auto_refresh=live)


def _nothing(done: int) -> None:
    """Count nothing: nobody is watching."""
