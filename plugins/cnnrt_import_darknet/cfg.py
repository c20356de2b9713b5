"""A cfg as sections of options, each with its place.

Format: `read_cfg` and `option_list.c` of Darknet. A line is a comment (# or ;), the title of a section ([...]) or an
option (key=value); blanks mean nothing, and of two options of one key the first counts. Numbers end where they stop
being numbers, as C's atoi reads them.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

import attrs

from cnnrt.errors import ImportFailure, ParameterFileError, Position, Problem
from cnnrt.findings import Findings
from netfile_spec.limits import MAX_BLOCKS
from netfile_spec.parameters.regular_file import open_regular
from netfile_spec.problems import quoted

_MOST_BYTES = 2 << 20
_LARGEST = 2**31 - 1
_INTEGER = re.compile(r"[+-]?[0-9]{1,10}(?![0-9])")
_NUMBER = re.compile(r"[+-]?([0-9]{1,40}(\.[0-9]{0,40})?|\.[0-9]{1,40})([eE][+-]?[0-9]{1,3})?(?![0-9])")


@attrs.frozen
class Option:
    """A value as written, and where it stands."""

    value: str
    position: Position


@attrs.define(eq=False)
class Section:
    """One [type] of a cfg and its options. `number` counts the layers from 0, as Darknet does; -1 is [net]."""

    type: str
    number: int
    position: Position
    findings: Findings = attrs.field(repr=False)
    options: dict[str, Option] = attrs.field(factory=dict)
    asked: set[str] = attrs.field(factory=set)

    @property
    def title(self) -> str:
        """What messages call it: its type and number."""
        return f"[{self.type}]" if self.number < 0 else f"layer {self.number} [{self.type}]"

    def problem(self, message: str, key: str = "", *, expected: str = "", hint: str = "") -> None:
        """Add a problem of this section, at the option `key` where it is stated."""
        option = self.options.get(key)
        position = option.position if option else self.position
        self.findings.problem(f"{self.title}: {message}", position, expected=expected, hint=hint)

    def integer(self, key: str, default: int, *, least: int = 0) -> int:
        """Return an integer; a value that is none, or too small or large, is a problem and the default is used."""
        option = self._option(key)
        match = option and _INTEGER.match(option.value)
        if option is None:
            return default
        if match and least <= int(match.group()) <= _LARGEST:
            return int(match.group())
        bound = f" of at least {least}" if least >= 0 else ""
        self.problem(f"{key}={quoted(option.value)}", key, expected="an integer" + bound)
        return default

    def number_of(self, key: str, default: float) -> float:
        """Return a number; a value that is none is a problem and the default is used."""
        option = self._option(key)
        match = option and _NUMBER.match(option.value)
        if option is None:
            return default
        if match and math.isfinite(float(match.group())):
            return float(match.group())
        self.problem(f"{key}={quoted(option.value)}", key, expected="a number")
        return default

    def flag(self, key: str) -> bool:
        """Tell whether an option is stated and not 0."""
        return self.integer(key, 0, least=-_LARGEST) != 0

    def text(self, key: str, default: str) -> str:
        """Return an option as it is written."""
        self.asked.add(key)
        option = self.options.get(key)
        return option.value if option else default

    def integers(self, key: str) -> list[int]:
        """Return a list of integers between commas; a problem where it is missing or holds something else."""
        self.asked.add(key)
        option = self.options.get(key)
        if option is None:
            self.problem(f"{key} is not stated")
            return []
        parts = option.value.rstrip(",").split(",")
        if not all(_INTEGER.match(part) for part in parts):
            self.problem(f"{key}={quoted(option.value)}", key, expected="integers between commas")
            return []
        return [int(m.group()) for part in parts if (m := _INTEGER.match(part))]

    def numbers(self, key: str) -> list[float]:
        """Return a list of numbers between commas; a problem where it is missing or holds something else."""
        self.asked.add(key)
        option = self.options.get(key)
        if option is None:
            self.problem(f"{key} is not stated")
            return []
        matches = [_NUMBER.match(part) for part in option.value.rstrip(",").split(",")]
        found = [float(match.group()) for match in matches if match]
        if len(found) < len(matches) or not all(map(math.isfinite, found)):
            self.problem(f"{key}={quoted(option.value)}", key, expected="numbers between commas")
            return []
        return found

    def _option(self, key: str) -> Option | None:
        self.asked.add(key)
        return self.options.get(key)


def read_cfg(path: Path) -> tuple[list[Section], Findings]:
    """Return the sections of a cfg, [net] first, and findings that quote its text. Raises ImportFailure."""
    source = _text(path)
    findings = Findings(str(path), source)
    sections: list[Section] = []
    for row, line in enumerate(source.split("\n"), start=1):
        text = re.sub(r"\s", "", line)
        if not text or text[0] in "#;":
            continue
        column = len(line) - len(line.lstrip()) + 1
        if text[0] == "[":
            title = text[1:].partition("]")[0]
            sections.append(Section(_ALIASES.get(title, title), len(sections) - 1, Position(row, column), findings))
        else:
            _option(text, Position(row, column), sections, findings)
        if len(sections) > MAX_BLOCKS:
            findings.problem(f"more than {MAX_BLOCKS:,} sections")
            break
    if not sections or sections[0].type != "net":
        findings.problem("the first section is not [net]", expected="a cfg of Darknet, which begins with it")
    findings.raise_if_any()
    return sections, findings


# Short names that Darknet's string_to_layer_type takes as well.
_ALIASES = {
    "network": "net",
    "conv": "convolutional",
    "deconv": "deconvolutional",
    "conn": "connected",
    "max": "maxpool",
    "avg": "avgpool",
    "local_avg": "local_avgpool",
    "soft": "softmax",
    "normalization": "lrn",
    "contrastive": "cost",
}


def _option(text: str, position: Position, sections: list[Section], findings: Findings) -> None:
    key, equals, value = text.partition("=")
    if not equals:
        findings.problem(f"{quoted(text)} is neither a section nor an option", position, expected="key=value")
    elif not sections:
        findings.problem(f"the option {quoted(key)} stands before the first section", position, expected="[net]")
    else:
        sections[-1].options.setdefault(key, Option(value, position))


def _text(path: Path) -> str:
    try:
        with open_regular(path) as file:
            if file.size > _MOST_BYTES:
                problem = Problem(f"{file.size:,} bytes", expected=f"the text of a net: at most {_MOST_BYTES:,} bytes")
                raise ImportFailure([problem], file=str(path))
            data = file.read(0, file.size)
    except ParameterFileError as error:
        raise ImportFailure([Problem(str(error).removeprefix(f"{path}: "))], file=str(path)) from None
    # Only comments are ever anything but ASCII, in whatever encoding their author had.
    return data.decode("utf-8", errors="replace").replace("\r\n", "\n").replace("\r", "\n")
