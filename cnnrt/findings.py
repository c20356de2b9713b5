"""What an importer found: problems, which stand in the way, and notes, which the user should read."""

from __future__ import annotations

import attrs

from cnnrt.errors import ImportFailure, Position, Problem

MOST_PROBLEMS = 100
MOST_NOTES = 500


@attrs.define(eq=False)
class Findings:
    """Collects problems and notes, so that all of them can be told at once, up to what anybody would read.

    `file` and `source` (its text, where it is text) are for the error that `raise_if_any` makes of them.
    """

    file: str
    source: str = ""
    problems: list[Problem] = attrs.field(factory=list)
    _notes: dict[str, None] = attrs.field(factory=dict)

    @property
    def notes(self) -> tuple[str, ...]:
        """The notes, each once, in the order in which they came up."""
        return tuple(self._notes)

    def problem(self, message: str, position: Position | None = None, *, expected: str = "", hint: str = "") -> None:
        """Add a problem; after many of them, only that there may be more."""
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(Problem(message, position, expected, hint))
        elif len(self.problems) == MOST_PROBLEMS:
            self.problems.append(Problem(f"the first {MOST_PROBLEMS} problems are listed; there may be more"))

    def note(self, message: str) -> None:
        """Add a sentence for the user, once; after many of them, only that there are more."""
        if len(self._notes) < MOST_NOTES:
            self._notes[message] = None
        else:
            self._notes["there is more to note; this list is cut off here"] = None

    def raise_if_any(self) -> None:
        """Raise ImportFailure with all problems, or do nothing."""
        if self.problems:
            raise ImportFailure(self.problems, file=self.file, source=self.source)
