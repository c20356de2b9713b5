"""Targets that misbehave on purpose, one for each guard: tests use them to see that nothing passes unseen."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

from fuzz.target import Guarded, Target
from netfile_spec import CnnrtError


def _raise(folder: Path) -> None:
    raise ValueError("planted")


def _say_nothing(folder: Path) -> None:
    raise CnnrtError("")


def _warn(folder: Path) -> None:
    warnings.warn("planted", RuntimeWarning, stacklevel=1)


def _hang(folder: Path) -> None:
    while True:
        time.sleep(0.01)


def _take_memory(folder: Path) -> None:
    bytearray(600 << 20)


def _open_outside(folder: Path) -> None:
    (folder / "link").unlink(missing_ok=True)
    (folder / "link").symlink_to("/etc/hostname")
    with (folder / "link").open("rb"):
        pass


def _write_inside(folder: Path) -> None:
    (folder / "new").write_bytes(b"")


def _run_code(folder: Path) -> None:
    exec("1")


def _run_program(folder: Path) -> None:
    subprocess.run([sys.executable, "-c", ""], check=True)


def _die(folder: Path) -> None:
    os._exit(7)


def _target(name: str, fault: Callable[[Path], None]) -> Target:
    def read(data: bytes, folder: Path, guarded: Guarded) -> None:
        with guarded():
            fault(folder)

    return Target(name, lambda folder: None, lambda random: b"", read)


TARGETS = tuple(
    _target(f"planted-{name}", fault)
    for name, fault in {
        "exception": _raise,
        "empty-message": _say_nothing,
        "warning": _warn,
        "hang": _hang,
        "memory": _take_memory,
        "open-outside": _open_outside,
        "write": _write_inside,
        "code": _run_code,
        "program": _run_program,
        "death": _die,
    }.items()
)
