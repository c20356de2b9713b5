"""The folder that a NetFile's parameter files lie in.

All of CNNdroid's NetFiles name a folder on the phone's SD card; such files must run unchanged elsewhere,
and a NetFile from a stranger must not send us reading all over the disk.
"""

from __future__ import annotations

import os
from pathlib import Path

from cnnrt.caller_warning import warn_caller
from cnnrt.errors import NetFileError, Problem, RootDirectoryWarning
from netfile_spec import NetFile


def root_directory(netfile: NetFile, override: str | Path | None = None) -> Path:
    """Return the folder that `parameters_file` is relative to.

    `override` (the user's word) wins and must exist. Else the NetFile's own `root_directory`, relative to the
    NetFile's folder; if it does not exist, that folder itself, with a RootDirectoryWarning. One that exists
    outside that folder needs the user's word: NetFileError.
    """
    home = Path(netfile.file).parent if netfile.file else Path()
    if override is not None:
        chosen = Path(override)
        if not _is_folder(chosen):
            raise NetFileError([Problem(f"the root directory given, {chosen}, is not a folder")], file=str(home))
        return chosen
    stated = netfile.root_directory
    if not stated:
        return home
    position = netfile.positions.get("root_directory")
    if "\0" in stated:
        raise _error(netfile, Problem("root_directory holds a NUL character", position))
    named = home / stated
    if _is_network_share(stated) or not _is_folder(named):
        warn_caller(
            f"{netfile.file}: root_directory {stated!r} does not exist here; the NetFile's own folder, "
            f"{home.absolute()}, is used (root_directory= or --root names another)",
            RootDirectoryWarning,
        )
        return home
    if not named.resolve().is_relative_to(home.resolve()):
        problem = Problem(
            f"root_directory {stated!r} lies outside the NetFile's own folder",
            position,
            hint=f"if that is meant, say so: root_directory={stated!r} in Python, --root {stated} on the command line",
        )
        raise _error(netfile, problem)
    return named


def _is_network_share(stated: str) -> bool:
    """Tell whether Windows would contact another machine, and log in there, to look at this name."""
    return os.name == "nt" and stated.replace("\\", "/").startswith("//")


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a name that is too long, or a folder that may not be looked into
        return False


def _error(netfile: NetFile, problem: Problem) -> NetFileError:
    return NetFileError([problem], file=netfile.file or "<netfile>", source=netfile.source)
