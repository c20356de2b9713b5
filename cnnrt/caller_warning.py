"""Warnings that point at the user's line, not at the depths of this package."""

from __future__ import annotations

import sys
import warnings

from cnnrt.errors import CnnrtWarning

PACKAGE = __name__.partition(".")[0]


def warn_caller(message: str, category: type[CnnrtWarning]) -> None:
    """Issue a warning that shows the nearest line outside of cnnrt."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == PACKAGE:
        frame = frame.f_back
        level += 1
    warnings.warn(message, category, stacklevel=level)
