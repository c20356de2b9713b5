"""Collecting what is wrong with one file, so that all of it can be reported at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from netfile_spec.errors import NetFileError, Position, Problem
from netfile_spec.limits import MAX_PROBLEMS

_LONGEST_QUOTE = 60
_NEAR = 0.7
"""Likeness (difflib's) from which on a name is taken for a misspelling: one wrong letter of four, and not two."""


class Problems:
    """The problems of the file `file`, whose text is `source`, as they are found."""

    def __init__(self, file: str, source: str) -> None:
        self.file = file
        self.source = source
        self._found: list[Problem] = []

    def report(self, message: str, position: Position | None, *, expected: str = "", hint: str = "") -> None:
        """Note one problem; raises NetFileError once there are more than anybody would read."""
        self._found.append(Problem(message, position, expected, hint))
        if len(self._found) >= MAX_PROBLEMS:
            self._found.append(Problem(f"the first {MAX_PROBLEMS} problems are listed; there may be more"))
            self.raise_if_any()

    def __bool__(self) -> bool:
        return bool(self._found)

    def raise_if_any(self) -> None:
        """Raise NetFileError with all problems in file order, those without a place last; or do nothing."""
        if self._found:
            self._found.sort(key=_place)
            raise NetFileError(self._found, file=self.file, source=self.source)


def _place(problem: Problem) -> tuple[float, int]:
    position = problem.position
    return (position.line, position.column) if position else (float("inf"), 0)


def quoted(text: str) -> str:
    """Return text from a file for use in a message: in quotes, printable, and not longer than a line."""
    if len(text) > _LONGEST_QUOTE:
        text = text[:_LONGEST_QUOTE] + "..."
    return '"' + "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text) + '"'


def closest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that `name` is most likely a misspelling of, or None."""
    by_lower: Mapping[str, str] = {k.lower(): k for k in known}
    # difflib takes quadratic time, and a long word is no misspelling of a short one.
    if len(name) > _LONGEST_QUOTE:
        return None
    from difflib import get_close_matches  # only where something is misspelt

    close = get_close_matches(name.lower(), by_lower, n=1, cutoff=_NEAR)
    return by_lower[close[0]] if close else None


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a hint with the known name that resembles `name` most, or else with all known names."""
    known = tuple(known)
    if close := closest(name, known):
        return f"did you mean {quoted(close)}?"
    return f"known: {', '.join(known)}" if known else ""
