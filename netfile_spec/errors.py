"""What can be wrong with a model's files, and how it is said.

    CnnrtError                  every error a user can cause, here and in the rest of cnnrt
    ├── NetFileError            a NetFile: all its problems at once, each with line, column and a hint
    └── ParameterFileError      a parameter file: truncated, mistyped, too large, not ours
    CnnrtWarning                every warning

The root lives here because this package imports nothing of cnnrt; `cnnrt.CnnrtError` is the same class.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs


class CnnrtError(Exception):
    """Root of every error that a user of cnnrt can cause; its text says what, where, and what to do."""


class CnnrtWarning(UserWarning):
    """Root of every warning that cnnrt issues."""


@attrs.frozen
class Position:
    """A place in a text file: `line` and `column` count from 1."""

    line: int
    column: int


@attrs.frozen
class Problem:
    """One thing that is wrong in a file.

    `position` is None where the whole file is meant. `expected` says what would have been right and
    `hint` what to do (the nearest known name, for example); either may be empty.
    """

    message: str
    position: Position | None = None
    expected: str = ""
    hint: str = ""


class NetFileError(CnnrtError):
    """A NetFile that cannot be used; `problems` holds everything found wrong in it, in file order.

    The text shows, for each problem, file:line:column, the line with a caret, what was expected, and a hint.
    """

    def __init__(self, problems: Sequence[Problem], *, file: str = "<string>", source: str = "") -> None:
        self.problems = tuple(problems)
        self.file = file
        self.source = source
        lines = source.split("\n")
        super().__init__("\n".join(_describe(problem, file, lines) for problem in self.problems))

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions are rebuilt from their text alone; this one needs its problems to cross a process.
        return _rebuild, (type(self), self.problems, self.file, self.source)


def _rebuild(cls: type[NetFileError], problems: Sequence[Problem], file: str, source: str) -> NetFileError:
    return cls(problems, file=file, source=source)


class ParameterFileError(CnnrtError):
    """A parameter file that cannot be read or written; the text names the file and the place in it."""


def describe_problem(problem: Problem, file: str, source: str = "") -> str:
    """Return the problem as text: place and message, the line with a caret, what was expected, the hint."""
    return _describe(problem, file, source.split("\n"))


def _describe(problem: Problem, file: str, source_lines: Sequence[str]) -> str:
    lines = []
    message, expected, hint = map(_shortened, (problem.message, problem.expected, problem.hint))
    if problem.position is None:
        lines.append(f"{file}: {message}")
    else:
        line, column = problem.position.line, problem.position.column
        lines.append(f"{file}:{line}:{column}: {message}")
        if line <= len(source_lines) and source_lines[line - 1].strip():
            lines += [f"    {row}" for row in _line_with_caret(source_lines[line - 1], column)]
    if expected:
        lines.append(f"    expected {expected}")
    if hint:
        lines.append(f"    {hint}")
    return "\n".join(lines)


_LONGEST_TEXT = 1000
"""Characters of a message, and of what was expected: they may quote names of a file, which may be of any length."""


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else f"{text[: _LONGEST_TEXT // 2]} ... {text[-_LONGEST_TEXT // 2 :]}"


_LONGEST_LINE = 140
"""Characters of a source line that are shown; of a longer one, those around the caret."""


def _line_with_caret(text: str, column: int) -> tuple[str, str]:
    text, before = text.rstrip(), column - 1
    start = max(0, before - _LONGEST_LINE // 2) if len(text) > _LONGEST_LINE else 0
    shown = text[start : start + _LONGEST_LINE]
    opening = "... " if start else ""
    closing = " ..." if start + _LONGEST_LINE < len(text) else ""
    # Tabs stay tabs under the caret, so that it points at the right place in any terminal; other control
    # characters are not passed on to that terminal.
    margin = "".join("\t" if c == "\t" else " " for c in opening + text[start:before])
    shown = "".join(c if c == "\t" or c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in shown)
    return f"{opening}{shown}{closing}", f"{margin}^"
