"""What reading an input may not do: touch other files, run code, take too long, take too much memory."""

from __future__ import annotations

import os
import re
import resource
import signal
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SECONDS = 5.0
"""The longest that one input may take, in seconds of the processor: machines that run tests are busy."""

MEMORY = 500 << 20
"""Bytes of address space beyond those that the worker has before its first input."""

_ALWAYS_WRONG: tuple[str, ...] = (
    "subprocess.",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.spawn",
    "os.fork",
    "pty.",
    "socket.",
    "urllib.",
)
_ALWAYS_WRONG += (
    "ftplib.",
    "http.",
    "smtplib.",
    "webbrowser.",
    "pickle.find_class",
    "ctypes.dlopen",
    "ctypes.call",
    "os.kill",
    "os.putenv",
)
_WRITES: tuple[str, ...] = (
    "os.remove",
    "os.rename",
    "os.mkdir",
    "os.rmdir",
    "os.link",
    "os.symlink",
    "os.chmod",
    "os.chown",
    "os.truncate",
)
_WRITES += ("os.utime", "os.mkfifo", "os.mknod", "shutil.", "tempfile.")
_LOOKS = ("os.listdir", "os.scandir", "os.walk", "glob.")
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

# What the interpreter and the libraries read for themselves: their own files.
_OWN = tuple(os.path.realpath(p) for p in {*sys.path, sys.prefix, sys.base_prefix} if p)
# What cnnrt and psutil read of the machine: its memory, its processors, the limits of its control groups.
_MACHINE = re.compile(
    r"/proc/(meminfo|cpuinfo|stat|zoneinfo|[0-9]+/(cgroup|mountinfo|status))|/sys/(fs/cgroup|devices/system)/.*"
)
_MODULE = re.compile(
    r".*(\.py|\.pyc|\.so|\.pyd|\.dist-info(/.*)?|\.egg-info(/.*)?|\.egg-link|\.pth|\.zip)$|.*/__pycache__(/.*)?$"
)


class TookTooLongError(BaseException):
    """An input took longer than SECONDS. Not an Exception, so that no reader takes it for a damaged file."""


class Watch:
    """Records what happens while it is on; `found` says what should not have. An audit hook cannot be removed."""

    def __init__(self, folder: Path, *, writes: bool) -> None:
        self.folder = os.path.realpath(folder)
        self.writes = writes
        self.found: list[str] = []
        self._on = False
        self._packages = {name.partition(".")[0] for name in sys.modules}
        sys.addaudithook(self._hook)

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Watch what happens inside."""
        self.found.clear()
        self._on = True
        try:
            yield
        finally:
            self._on = False

    def _hook(self, event: str, args: tuple[Any, ...]) -> None:
        if not self._on:
            return
        self._on = False  # what the check itself does is not meant
        try:
            if reason := self._wrong(event, args):
                self.found.append(reason)
        finally:
            self._on = True

    def _wrong(self, event: str, args: tuple[Any, ...]) -> str:
        if event == "open":
            path, mode, flags = args
            if isinstance(path, int):
                return ""
            writing = bool((flags or 0) & _WRITING) or (isinstance(mode, str) and mode.strip("rbtU") != "")
            return self._wrong_path(path, writing)
        if event == "exec":
            code = args[0]
            name = code.co_filename if isinstance(code, types.CodeType) else str(code)
            return "" if name.startswith("<attrs generated") or self._is_own(name) else f"runs code of {name}"
        if event == "compile":
            # NumPy parses headers by ast.literal_eval, which compiles to a tree and runs nothing.
            name = args[1] if isinstance(args[1], str) else os.fsdecode(args[1] or b"")
            return (
                ""
                if name == "<unknown>" or name.startswith("<attrs generated") or self._is_own(name)
                else f"compiles {name}"
            )
        if event == "import":
            package = args[0].partition(".")[0]
            return "" if package in self._packages else f"imports {args[0]}"
        if event.startswith(_ALWAYS_WRONG):
            return f"{event} {args!r:.200}"
        if event.startswith(_WRITES):
            return next(
                filter(None, (self._wrong_path(a, True) for a in args if isinstance(a, str | bytes | os.PathLike))), ""
            )
        if event.startswith(_LOOKS) and args and isinstance(args[0], str | bytes | os.PathLike):
            return "" if self._is_own_folder(args[0]) else self._wrong_path(args[0], False)
        return ""

    def _wrong_path(self, path: Any, writing: bool) -> str:
        try:
            real = os.path.realpath(os.fsdecode(path))
        except ValueError:  # a NUL byte: the system refuses it as well
            return ""
        if real == self.folder or real.startswith(self.folder + os.sep):
            return f"writes {real}" if writing and not self.writes else ""
        if not writing and (self._is_own(real) or _MACHINE.fullmatch(real)):
            return ""
        return f"{'writes' if writing else 'opens'} {real}"

    def _is_own(self, path: str) -> bool:
        return path.startswith("<frozen") or (path.startswith(_OWN) and _MODULE.match(path) is not None)

    def _is_own_folder(self, path: Any) -> bool:
        return os.path.realpath(os.fsdecode(path)).startswith(_OWN)


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TookTooLongError in what takes more processor time, or three times as long by the clock.

    Main thread only; what never returns to Python is the runner's to end.
    """
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.setitimer(signal.ITIMER_REAL, 3 * seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)


def arm_time_limit() -> None:
    """Prepare the process for `time_limit`."""

    def ring(number: int, frame: types.FrameType | None) -> None:
        raise TookTooLongError

    signal.signal(signal.SIGALRM, ring)
    signal.signal(signal.SIGPROF, ring)


def limit_memory(more: int) -> None:
    """Let the process have `more` bytes of address space than it has now, and no core file when it crashes."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + more
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def peak_memory() -> int:
    """Return the most bytes of memory that the process had at one time."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
