"""What arguments and options are read as, where click's own types take or refuse too much."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import click

PATH = click.Path(path_type=Path, readable=False)
"""A path. Whether it can be read is found out by whoever reads it: that is a file's fault, not the command line's."""


class Number(click.FloatRange):
    """A number within a range; `nan`, which click would take, is none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number; BadParameter where it is none or out of range."""
        number = float(super().convert(value, param, ctx))
        if math.isnan(number):
            self.fail(f"{value!r} is not a number", param, ctx)
        return number
