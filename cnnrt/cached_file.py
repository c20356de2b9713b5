"""Files that may be there or not: read if they are ours, written beside and renamed, and no failure is an error."""

from __future__ import annotations

import logging
import os
import stat
import time
from contextlib import suppress
from io import FileIO
from pathlib import Path

log = logging.getLogger("cnnrt.cache")

_OPEN = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
USED_SECONDS = 3600
"""The time of the latest use is noted no more often than that."""
UNFINISHED = ".part"
KEPT = 0.75
"""Of a folder's bound, when some files have to go: so that not every new one makes room again."""
ABANDONED_SECONDS = 3600
"""After that, an unfinished file belongs to a process that is gone."""


def open_cached(path: Path) -> int | None:
    """Return a descriptor of a regular file of this user, whose latest use is noted; None where there is none."""
    try:
        descriptor = os.open(path, _OPEN)
    except OSError:
        return None
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or (hasattr(os, "getuid") and found.st_uid != os.getuid()):
        os.close(descriptor)
        return None
    with suppress(OSError):
        if time.time() - found.st_mtime > USED_SECONDS:
            os.utime(path)
    return descriptor


def read_cached(path: Path, most: int = 1 << 20) -> bytes | None:
    """Return the content of a file of at most so many bytes; None where there is none that can be read."""
    descriptor = open_cached(path)
    if descriptor is None:
        return None
    try:
        return read_all(descriptor, most)
    finally:
        os.close(descriptor)


def read_all(descriptor: int, most: int) -> bytes | None:
    """Return the content of an open file of at most so many bytes; None where it is larger or cannot be read."""
    try:
        size = os.fstat(descriptor).st_size
        if size > most:
            return None
        with FileIO(descriptor, "rb", closefd=False) as stream:
            return stream.read(size)
    except OSError:
        return None


def write_cached(path: Path, data: bytes) -> bool:
    """Write a file beside its place and rename it; False, and nothing is left, where the system refuses."""
    beside = path.with_name(f".{path.name}.{os.urandom(8).hex()}{UNFINISHED}")
    try:
        try:
            with beside.open("xb") as stream:
                stream.write(data)
            beside.replace(path)
        except BaseException:
            with suppress(OSError):
                beside.unlink()
            raise
    except OSError as error:
        log.debug("%s is not kept: %s", path, error.strerror or error)
        return False
    return True


def make_room(folder: Path, bound: int) -> None:
    """Remove what is unfinished, and what was not used for longest where files have more than `bound` bytes."""
    entries: list[tuple[float, int, Path]] = []
    with suppress(OSError), os.scandir(folder) as found:
        for entry in found:
            with suppress(OSError):  # it may be gone already
                status = entry.stat(follow_symlinks=False)
                if not entry.name.endswith(UNFINISHED):
                    entries.append((status.st_mtime, status.st_size, Path(entry.path)))
                elif time.time() - status.st_mtime > ABANDONED_SECONDS:
                    Path(entry.path).unlink()
    total = sum(size for _, size, _ in entries)
    if total <= bound:
        return
    for _, size, path in sorted(entries):
        with suppress(OSError):
            path.unlink()
        total -= size
        if total <= KEPT * bound:
            return
