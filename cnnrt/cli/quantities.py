"""Numbers as people read them: three digits that count, and a unit."""

from __future__ import annotations

from collections.abc import Sequence

_UNITS = ("", "k", "M", "G", "T", "P", "E")


def three_digits(number: float) -> str:
    """Return a number with three significant digits, without an exponent: 0.0123, 1.23, 123, 12300."""
    if number == 0:
        return "0"
    text = f"{number:.3g}"
    return f"{float(text):.0f}" if "e+" in text else f"{number:.2e}" if "e-" in text else text


def scaled(number: float) -> str:
    """Return a count with a factor of a thousand: 431 k, 4.59 M, 1.45 G."""
    return _with_unit(number, 1000, _UNITS)


def size(nbytes: float) -> str:
    """Return bytes: 512 B, 1.69 KiB, 23.8 MiB."""
    return _with_unit(nbytes, 1024, ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"))


def milliseconds(seconds: float) -> str:
    """Return a time in milliseconds, without the unit."""
    return three_digits(seconds * 1e3)


def plural(count: int, noun: str) -> str:
    """Return `1 image`, `2 images`."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def _with_unit(number: float, step: int, units: Sequence[str]) -> str:
    power = 0
    while number >= 999.5 and power < len(units) - 1:
        number /= step
        power += 1
    return f"{three_digits(number)} {units[power]}".rstrip()
