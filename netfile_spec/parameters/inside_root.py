"""Turning a name that a model file states into a path that stays inside the model's folder."""

from __future__ import annotations

import os
import re
from pathlib import Path

from netfile_spec.errors import ParameterFileError
from netfile_spec.parameters.regular_file import check_regular

_DRIVE = re.compile(r"[A-Za-z]:")


def resolve_inside(root: Path, name: str) -> Path:
    """Return the regular file that `name`, written with "/", means in the folder `root`, symbolic links followed.

    The file is not opened. Raises ParameterFileError for an absolute name, "..", NUL, a drive letter, a backslash, a
    link that leads outside, and for anything that is missing or not a regular file.
    """
    if reason := _why_unsafe(name):
        raise ParameterFileError(f"{root}: the file name {name!r:.200} {reason}; expected a file inside this folder")
    try:
        folder = root.resolve(strict=True)
        path = (folder / name).resolve(strict=True)
    except FileNotFoundError as error:
        raise ParameterFileError(f"{root}: no file {name!r:.200} in this folder") from error
    except (OSError, RuntimeError, ValueError) as error:
        # RuntimeError: a loop of links, before Python 3.13; ValueError: characters that the file system cannot encode.
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ParameterFileError(f"{root}: the file {name!r:.200} cannot be reached: {reason}") from error
    if not path.is_relative_to(folder):
        raise ParameterFileError(f"{root}: the file {name!r:.200} is a link that leads out of this folder, to {path}")
    check_regular(path)
    return path


def _why_unsafe(name: str) -> str:
    # The same rules everywhere: a model that loads on one system loads on the others.
    if not name:
        return "is empty"
    if "\0" in name:
        return "holds a NUL"
    if "\\" in name:
        return 'holds a backslash (folders are separated by "/")'
    if name.startswith("/"):
        return "is absolute"
    if _DRIVE.match(name) or (os.name == "nt" and ":" in name):
        return "names a drive"
    if ".." in name.split("/"):
        return 'leads upwards ("..")'
    return ""
