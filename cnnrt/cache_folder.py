"""The folder in which cnnrt keeps what it can make again: tuning results, verifications, compiled code.

It lies in the user's cache folder, or where the environment variable CNNRT_CACHE says; an empty one turns it off.
It is private: what lies in it is run or believed, so a folder that another user owns or may write to is not used. A
missing folder, a full disk or a home that is read-only never stops a run: everything is then made anew.
"""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path

log = logging.getLogger("cnnrt.cache")

VARIABLE = "CNNRT_CACHE"
_reported: set[str] = set()


def cache_folder(name: str) -> Path | None:
    """Return the private folder for one kind of thing, made if need be; None where there can be none (logged once)."""
    stated = os.environ.get(VARIABLE)
    if stated == "":
        return None
    folder = where = _root(stated) / name
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        problem = _problem(folder)
    except OSError as error:
        where = folder.parent  # nothing of any other kind can be kept there either, which need not be said again
        problem = f"no folder can be made there ({error.strerror or error})"
    if problem and str(where) not in _reported:
        _reported.add(str(where))
        log.warning("nothing is remembered in %s: %s; set %s to another folder", where, problem, VARIABLE)
    return None if problem else folder


def _root(stated: str | None) -> Path:
    if stated:
        return Path(stated).expanduser().absolute()
    from platformdirs import user_cache_path

    return user_cache_path("cnnrt", appauthor=False)


def _problem(folder: Path) -> str:
    """Return why a folder is not to be trusted; empty: it is."""
    found = folder.stat()
    if not stat.S_ISDIR(found.st_mode):
        return "it is not a folder"
    if not hasattr(os, "getuid"):  # Windows: the user's profile is private by its access list
        return ""
    if found.st_uid != os.getuid():
        return f"it belongs to user {found.st_uid}, not to user {os.getuid()}"
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return f"others may write to it (mode {stat.S_IMODE(found.st_mode):o})"
    return ""
