"""Arguments of another type than was asked for, refused by name: what was handed in is told, not where it broke."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Integral, Real
from pathlib import Path
from typing import Any, TypeGuard

from cnnrt.errors import InputError


def path_from(name: str, value: Any) -> Path:
    """Return a path, stated as one or as text."""
    if not isinstance(value, str | Path):
        raise InputError(f"{name}: expected a path, got {value!r:.200}")
    return Path(value)


def paths_from(name: str, value: Any) -> list[Path]:
    """Return one path or several as a list."""
    if isinstance(value, str | Path):
        return [Path(value)]
    if isinstance(value, bytes) or not isinstance(value, Iterable):
        raise InputError(f"{name}: expected a path or several, got {value!r:.200}")
    return [path_from(name, one) for one in value]


def names_from(name: str, value: Any) -> tuple[str, ...]:
    """Return one name or several as a tuple."""
    if isinstance(value, str):
        return (value,)
    names = tuple(value) if isinstance(value, Iterable) else ()
    if not isinstance(value, Iterable) or not all(isinstance(one, str) for one in names):
        raise InputError(f"{name}: expected names of values, got {value!r:.200}")
    return names


def is_count(value: Any) -> TypeGuard[int]:
    """Tell whether something is an integer of Python's or NumPy's; True and False are none."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def is_number(value: Any) -> TypeGuard[float]:
    """Tell whether something is a real number of Python's or NumPy's; True and False are none."""
    return isinstance(value, Real) and not isinstance(value, bool)
