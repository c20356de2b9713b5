"""Writing a file whole or not at all: beside its place, to the disk, then renamed into it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedWriter
from pathlib import Path

from netfile_spec.parameters.regular_file import damage


@contextmanager
def written_beside(path: Path) -> Iterator[BufferedWriter]:
    """Yield a stream whose content becomes the file `path` when the block ends well.

    The temporary file lies in the same folder, since a rename is atomic only within one file system. When the block or
    the disk fails, whatever was at `path` before is untouched and the temporary file is gone. Raises
    ParameterFileError for what the operating system refuses.
    """
    beside = path.with_name(f".{path.name[:100]}.{os.urandom(8).hex()}.part")
    try:
        try:
            # Not tempfile: its files are readable by their owner alone, and the mode would stay after the rename.
            with beside.open("xb") as stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            beside.replace(path)
        except BaseException:
            with suppress(OSError):
                beside.unlink()
            raise
        sync_folder(path.parent)
    except OSError as error:
        raise damage(path, f"cannot be written: {error.strerror or error}") from error


def sync_folder(folder: Path) -> None:
    """Bring the folder's entries to the disk, so that a rename survives a power cut; where the system can do it."""
    if os.name == "nt":  # Windows opens no folders
        return
    with suppress(OSError):  # some network file systems refuse; the file itself is safe already
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
