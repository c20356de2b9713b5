"""What a conversion found, with the places of layers in their text."""

from __future__ import annotations

import attrs

from cnnrt import findings
from cnnrt.errors import Problem
from cnnrt_import_caffe.net import CaffeLayer


@attrs.define(eq=False)
class Findings(findings.Findings):
    """Collects problems and notes as every importer does; `of_layer` finds the place of a layer's problem."""

    @property
    def full(self) -> bool:
        """Whether so many problems were found that further ones are dropped."""
        return len(self.problems) > findings.MOST_PROBLEMS

    def of_layer(
        self, layer: CaffeLayer, message: str, *path: str, expected: str = "", hint: str = "", nth: int = 0
    ) -> None:
        """Add a problem of a layer, placed at the key `path` of its block (the `nth` of that name)."""
        if not self.full:
            self.problem(
                f"layer {layer.title}: {message}", layer.place.at(*path, nth=nth), expected=expected, hint=hint
            )

    def in_file_order(self) -> list[Problem]:
        """Return the problems as they stand in the file; those without a place come first, that there are more last."""
        found, more = self.problems[: findings.MOST_PROBLEMS], self.problems[findings.MOST_PROBLEMS :]
        return [*sorted(found, key=_place), *more]


def _place(problem: Problem) -> tuple[int, int]:
    return (problem.position.line, problem.position.column) if problem.position else (0, 0)
