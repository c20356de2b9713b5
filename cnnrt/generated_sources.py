"""The source text of the methods that attrs writes: kept for tracebacks, and too much of it.

attrs puts the text of every class's methods into `linecache`, where it stays: 0.6 MiB for the classes of cnnrt and its
layers, in a process that is to run within a few. What a traceback loses by it is the line of a generated method.
"""

from __future__ import annotations

import linecache

GENERATED = "<attrs generated"


def let_go_of_generated_sources(packages: tuple[str, ...] = ("cnnrt", "netfile_spec")) -> None:
    """Let go of the texts of classes in modules whose names begin so."""
    for file in [file for file in linecache.cache if file.startswith(GENERATED)]:
        if file.removeprefix(GENERATED).rpartition(" ")[2].startswith(packages):
            del linecache.cache[file]
