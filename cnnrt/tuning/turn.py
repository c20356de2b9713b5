"""One process of the machine measures at a time: two would measure each other."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: whoever comes measures
    fcntl = None  # type: ignore[assignment]

STEP = 0.05


@contextlib.contextmanager
def turn(folder: Path | None, patience: float) -> Iterator[bool]:
    """Tell whether it is this process's turn, after waiting for at most `patience` seconds.

    The system gives the turn back for a process that is killed. Where files cannot be locked, it is always one's turn.
    """
    if folder is None or fcntl is None:
        yield True
        return
    try:
        file = (folder / "turn.lock").open("ab")
    except OSError:
        yield True
        return
    with file:
        granted = _locked(file.fileno(), patience)
        try:
            yield granted
        finally:
            if granted:
                with contextlib.suppress(OSError):
                    # Said aloud: a child of a fork in the meantime holds the same file.
                    fcntl.flock(file, fcntl.LOCK_UN)


def _locked(file: int, patience: float) -> bool:
    until = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                return False
            time.sleep(STEP)
        except OSError:  # a file system without locks
            return True
        else:
            return True
