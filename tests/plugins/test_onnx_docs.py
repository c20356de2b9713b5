"""The tables of docs/importing-onnx.md are those of the code."""

from __future__ import annotations

import re
from pathlib import Path

from cnnrt.plugins import plugin_host
from cnnrt_import_onnx.supported import CONSTANT_ONLY, NEWEST_OPSET, OLDEST_OPSET, SUPPORTED


def page(repository: Path) -> str:
    return (repository / "docs" / "importing-onnx.md").read_text(encoding="utf-8")


def test_the_table_of_operators_is_complete(repository: Path) -> None:
    rows = re.findall(r"^\| (.+?) \| (.+?) \|", page(repository), flags=re.MULTILINE)
    operators = [name for cell, _ in rows[1:] for name in cell.split(", ")]
    assert sorted(operators) == sorted(SUPPORTED)


def test_the_layers_that_it_names_exist(repository: Path) -> None:
    rows = re.findall(r"^\| (.+?) \| (.+?) \|", page(repository), flags=re.MULTILINE)
    named = {word for _, cell in rows[1:] for word in re.findall(r"\b[A-Z]\w+", cell)}
    assert len(named) > 40
    assert {name.lower() for name in named} <= set(plugin_host().layers())


def test_what_is_computed_from_constants_only_is_listed(repository: Path) -> None:
    listed = re.search(r"whatever their types:\n([\w, ]+)\.", page(repository))
    assert listed is not None
    assert tuple(listed[1].split(", ")) == CONSTANT_ONLY


def test_the_operator_sets_are_stated(repository: Path) -> None:
    assert f"operator set {OLDEST_OPSET} to {NEWEST_OPSET}" in page(repository)
