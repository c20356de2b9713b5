"""What a conversion found: problems, which stand in the way, and notes, which the user should read."""

from __future__ import annotations

import attrs

from cnnrt.errors import Problem

MOST_PROBLEMS = 100
MOST_NOTES = 500


@attrs.define(eq=False)
class Findings:
    """Collects problems and notes, so that all of them can be told at once, up to what anybody would read."""

    problems: list[Problem] = attrs.field(factory=list)
    notes: dict[str, None] = attrs.field(factory=dict)

    def problem(self, message: str, *, expected: str = "", hint: str = "") -> None:
        """Add a problem; after many of them, only that there may be more."""
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(Problem(message, None, expected, hint))
        elif len(self.problems) == MOST_PROBLEMS:
            self.problems.append(Problem(f"the first {MOST_PROBLEMS} problems are listed; there may be more"))

    def take(self, other: Findings) -> None:
        """Add what others found."""
        for problem in other.problems:
            self.problem(problem.message, expected=problem.expected, hint=problem.hint)
        for note in other.notes:
            self.note(note)

    def note(self, message: str) -> None:
        """Add a sentence for the user, once; after many of them, only that there are more."""
        if len(self.notes) < MOST_NOTES:
            self.notes[message] = None
        else:
            self.notes["there is more to note; this list is cut off here"] = None
