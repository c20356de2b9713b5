"""Starting another Python that finds the same modules as this one."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def children_possible() -> bool:
    """Tell whether the program that runs is a Python that can run a module; an application may be something else."""
    name = Path(sys.executable or "").name.lower()
    return name.startswith(("python", "pypy")) and not getattr(sys, "frozen", False)


def child_command(module: str, *arguments: str) -> list[str]:
    """Return the command that runs a module in another Python."""
    return [sys.executable, "-m", module, *arguments]


def child_environment() -> dict[str, str]:
    """Return this process's environment, with the folders in which this one looks for modules."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
