"""A digest of a package's sources: what is remembered of code holds as long as the code is the same."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterable
from pathlib import Path

SOURCES = {".py", ".pyx", ".c", ".h", ".cpp", ".hpp", ".cl", ".rs", ".rsh", ".rscript", ".ll", ".so", ".pyd", ".dylib"}
"""Suffixes of files that may decide what a kernel computes."""


@functools.cache
def source_digest(module: str) -> str:
    """Return the digest of the top-level package (or module) that the named module belongs to.

    Where there are no files (a module made by hand, a zip archive), it is that of the name.
    """
    import hashlib  # here: OpenSSL takes megabytes

    top = module.partition(".")[0]
    digest = hashlib.sha256(top.encode())
    for file in _files(top):
        try:
            content = file.read_bytes()
        except OSError:
            continue
        digest.update(f"\0{file.name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()[:16]


def _files(top: str) -> Iterable[Path]:
    package = sys.modules.get(top)
    folders = [Path(folder) for folder in getattr(package, "__path__", ())]
    if folders:
        return sorted(file for folder in folders for file in folder.rglob("*") if file.suffix in SOURCES)
    own = getattr(package, "__file__", None)
    return [Path(own)] if own else []
