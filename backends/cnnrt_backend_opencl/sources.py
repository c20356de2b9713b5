"""The kernels' source files, and definitions as the options of a compiler."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from importlib import resources

import numpy as np

Defines = int | float | str
"""A number, or a text that the compiler takes as it is."""
STANDARD = "-cl-std=CL1.2"
INCLUDE = re.compile(r'#include "([a-z_]+\.clh)"')
"""Files that sources share; resolved here, since compilers of OpenCL know no folder of ours."""


@functools.cache
def source_text(package: str, name: str) -> str:
    """Return a file of a package's folder `kernels` with what it includes of it, and lines by which logs name files."""
    text = (resources.files(package) / "kernels" / name).read_text(encoding="utf-8")
    lines = [f'#line 1 "{name}"']
    for number, line in enumerate(text.splitlines(), 1):
        included = INCLUDE.fullmatch(line)
        lines += [source_text(package, included[1]), f'#line {number + 1} "{name}"'] if included else [line]
    return "\n".join(lines) + "\n"


def options_text(defines: Mapping[str, Defines]) -> str:
    """Return the compiler's options, the same for equal definitions; floats are written without a loss."""
    return " ".join((STANDARD, *(f"-D{name}={literal(value)}" for name, value in sorted(defines.items()))))


def literal(value: Defines) -> str:
    """Return a number as OpenCL C writes it, a float without a loss; a text as it is."""
    if isinstance(value, float | np.floating):
        rounded = float(np.float32(value))
        if rounded != rounded:
            return "NAN"
        if rounded in (float("inf"), float("-inf")):
            return "INFINITY" if rounded > 0 else "-INFINITY"
        return f"{rounded.hex()}f"
    return str(value)
