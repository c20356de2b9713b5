"""docs/formats.md: every cell that claims something names a test, which is there; every importer has a row."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from cnnrt.plugins import plugin_host

PAGE = Path(__file__).resolve().parents[2] / "docs" / "formats.md"
NAMED = re.compile(r'\[(?P<word>[^\]]+)\]\((?P<file>[^ )]+) "(?P<test>\w+)"\)')
UNCLAIMED = {"–", "no", "as ONNX", "trusted only", "`--topology`"}


def rows() -> list[list[str]]:
    """Return the cells of the table, row by row, the heading first."""
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if not set(line) <= set("|-")]


def named() -> Iterator[tuple[str, str]]:
    """Yield the file and the name of each test that the page names."""
    for match in NAMED.finditer(PAGE.read_text(encoding="utf-8")):
        yield match["file"], match["test"]


@cache
def defined_in(file: Path) -> set[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.ClassDef)}


@pytest.mark.parametrize(("file", "test"), sorted(set(named())))
def test_a_test_that_is_named_exists(file: str, test: str) -> None:
    path = (PAGE.parent / file).resolve()
    assert path.is_relative_to(PAGE.parents[1] / "tests")
    assert test in defined_in(path)
    assert test.startswith(("test_", "Test"))


@pytest.mark.parametrize("row", rows()[1:], ids=lambda row: row[0])
def test_every_cell_says_something_that_is_backed(row: list[str]) -> None:
    assert len(row) == len(rows()[0])
    for cell in row[1:]:
        assert cell in UNCLAIMED or NAMED.fullmatch(cell), cell


def test_every_importer_that_ships_has_a_row() -> None:
    shipped = [name for name, i in plugin_host().importers().items() if type(i).__module__.startswith("cnnrt_import_")]
    formats = " ".join(re.sub(r"\W", "", row[0].partition("]")[0]).lower() for row in rows()[1:])
    assert len(shipped) > 5
    assert [name for name in shipped if re.sub(r"\W", "", name) not in formats] == []
