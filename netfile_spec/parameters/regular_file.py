"""Reading a file that may be hostile: only regular files, by position, never past the end.

A parameter file is read in blocks and not through a memory map: a map of a file that somebody truncates meanwhile
kills the process with SIGBUS, and its pages count as the process's own. No file stays open between two reads, so a
network of several hundred layers needs no file descriptor for each.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

import attrs
import numpy as np
from numpy.typing import NDArray

from netfile_spec.errors import ParameterFileError

# O_NONBLOCK: opening a FIFO that took the file's place after the check must not wait for its writer.
_OPEN_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)


def damage(path: Path, message: str, *, at: int | None = None) -> ParameterFileError:
    """Return the error for something wrong in the file `path`, `at` this byte where the place is known."""
    place = "" if at is None else f" byte {at}:"
    return ParameterFileError(f"{path}:{place} {message}")


def check_regular(path: Path) -> None:
    """Refuse whatever is not a regular file, without opening it (a FIFO would block, a device might act)."""
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        raise damage(path, _why_unreadable(error)) from error
    _check_kind(path, status)


@attrs.frozen
class FileStamp:
    """What identifies a file and its content without reading it; another stamp means another file."""

    device: int
    inode: int
    size: int
    modified: int


@attrs.define(eq=False)
class RegularFile:
    """A regular file open for reading; `size` in bytes. Made by `open_regular`."""

    path: Path
    stamp: FileStamp
    _stream: FileIO

    @property
    def size(self) -> int:
        """Bytes in the file."""
        return self.stamp.size

    def fileno(self) -> int:
        """Return the descriptor, valid inside the `with` block only."""
        return self._stream.fileno()

    def read(self, offset: int, count: int) -> bytes:
        """Return `count` bytes from `offset`, fewer only where the file ends."""
        count = max(0, min(count, self.size - offset))
        buffer = np.empty(count, np.uint8)
        self.read_into(offset, buffer)
        return buffer.tobytes()

    def read_into(self, offset: int, buffer: NDArray[np.uint8]) -> None:
        """Fill `buffer` (one-dimensional, contiguous) with the bytes from `offset`; too few of them is an error."""
        done = 0
        target = buffer.data
        try:
            self._stream.seek(offset)
            while done < buffer.nbytes:  # one read returns at most 2 GiB on Linux
                count = self._stream.readinto(target[done:])
                if not count:
                    raise damage(
                        self.path,
                        f"the file ends here; {buffer.nbytes - done} more bytes were expected",
                        at=offset + done,
                    )
                done += count
        except OSError as error:
            raise damage(self.path, f"cannot be read: {error.strerror or error}", at=offset + done) from error


@contextmanager
def open_regular(path: Path, expected: FileStamp | None = None) -> Iterator[RegularFile]:
    """Open a regular file for reading by position.

    Raises ParameterFileError where it is missing, unreadable or not a regular file, and where it is another file than
    `expected` (the one whose header was read earlier).
    """
    check_regular(path)
    try:
        descriptor = os.open(path, _OPEN_FLAGS)
    except OSError as error:
        raise damage(path, _why_unreadable(error)) from error
    with FileIO(descriptor, "rb") as stream:
        status = os.fstat(descriptor)
        _check_kind(path, status)
        stamp = FileStamp(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        if expected is not None and stamp != expected:
            raise damage(path, "the file was changed or replaced after it was opened; open it again")
        yield RegularFile(path, stamp, stream)


def _check_kind(path: Path, status: os.stat_result) -> None:
    if stat.S_ISREG(status.st_mode):
        return
    kind = "a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file"
    raise damage(path, f"is {kind}; expected a parameter file")


def _why_unreadable(error: OSError | ValueError) -> str:
    if isinstance(error, FileNotFoundError):
        return "no such parameter file"
    reason = error.strerror if isinstance(error, OSError) else None
    return f"cannot be opened: {reason or error}"
