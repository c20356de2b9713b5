"""Names of classes: from the NetFile or a text file with one name on each line."""

from __future__ import annotations

from pathlib import Path

from cnnrt.errors import InputError
from netfile_spec import NetFile, resolve_inside

LARGEST_FILE = 4 << 20
"""Bytes of a file of labels; ImageNet's 21,841 classes take 1.2 MB with all their synonyms."""


def read_labels(netfile: NetFile, root: Path) -> tuple[str, ...] | None:
    """Return the names of the classes that a NetFile states, None where it states none.

    A file of labels must lie inside `root`. Raises ParameterFileError or InputError where it cannot be read.
    """
    if netfile.labels is None or isinstance(netfile.labels, tuple):
        return netfile.labels
    return read_label_file(resolve_inside(root, netfile.labels))


def read_label_file(path: Path) -> tuple[str, ...]:
    """Return the lines of a UTF-8 text file, blank ones at its end left out. Raises InputError."""
    try:
        # A pipe or device would block, or never end.
        if path.exists() and not path.is_file():
            raise InputError(f"{path}: is not a regular file; expected a text file with one label on each line")
        with path.open("rb") as stream:
            raw = stream.read(LARGEST_FILE + 1)
        if len(raw) > LARGEST_FILE:
            raise InputError(f"{path}: a file of labels has at most {LARGEST_FILE >> 20} MiB")
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        expected = "expected one label on each line"
        raise InputError(f"{path}: cannot be read as a file of labels: it is no text in UTF-8; {expected}") from None
    except (OSError, ValueError) as error:  # ValueError: a path that cannot be
        reason = error.strerror if isinstance(error, OSError) else None
        raise InputError(f"{path}: cannot be read as a file of labels: {reason or error}") from error
    return tuple(line.strip() for line in text.rstrip().splitlines())
