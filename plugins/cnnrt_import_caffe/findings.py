"""What a conversion found: problems, which stand in the way, and notes, which the user should read."""

from __future__ import annotations

import attrs

from cnnrt.errors import Position, Problem
from cnnrt_import_caffe.net import CaffeLayer

MOST_PROBLEMS = 100
MOST_NOTES = 500


@attrs.define(eq=False)
class Findings:
    """Collects problems and notes, so that all of them can be told at once, up to what anybody would read."""

    problems: list[Problem] = attrs.field(factory=list)
    notes: dict[str, None] = attrs.field(factory=dict)

    @property
    def full(self) -> bool:
        """Whether so many problems were found that further ones are dropped."""
        return len(self.problems) >= MOST_PROBLEMS

    def problem(
        self, layer: CaffeLayer, message: str, *path: str, expected: str = "", hint: str = "", nth: int = 0
    ) -> None:
        """Add a problem of a layer, placed at the key `path` of its block (the `nth` of that name)."""
        if not self.full:
            self.add(f"layer {layer.title}: {message}", layer.place.at(*path, nth=nth), expected=expected, hint=hint)

    def add(self, message: str, position: Position | None = None, *, expected: str = "", hint: str = "") -> None:
        """Add a problem of the whole model, or of a place in its text."""
        if not self.full:
            self.problems.append(Problem(message, position, expected, hint))

    def note(self, message: str) -> None:
        """Add a sentence for the user, once; after many of them, only that there are more."""
        if len(self.notes) < MOST_NOTES:
            self.notes[message] = None
        else:
            self.notes["there is more to note; this list is cut off here"] = None

    def in_file_order(self) -> list[Problem]:
        """Return the problems as they stand in the file; those without a place come first."""
        problems = sorted(self.problems, key=lambda p: (p.position.line, p.position.column) if p.position else (0, 0))
        if self.full:
            problems.append(Problem(f"the first {MOST_PROBLEMS} problems are listed; there may be more"))
        return problems
