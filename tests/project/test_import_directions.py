"""Who may import whom: netfile_spec <- cnnrt <- layers, backends, importers; layers never import backends.

Read from the sources, so that an import inside a function or for type checking counts as well.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SHELVES = ("layers", "backends", "plugins")
IMPORT_FUNCTIONS = {"import_module", "__import__"}


def packages(repository: Path) -> dict[str, Path]:
    """Return the project's import packages by name."""
    found = {"netfile_spec": repository / "netfile_spec", "cnnrt": repository / "cnnrt"}
    for shelf in SHELVES:
        found |= {p.parent.name: p.parent for p in (repository / shelf).glob("*/__init__.py")}
    return found


def imported(module: Path) -> Iterator[tuple[int, str]]:
    """Return the line and the top-level package of every absolute import in a file."""
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            names = [node.module]
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            function = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if function in IMPORT_FUNCTIONS:
                names = [str(node.args[0].value)]
        yield from ((node.lineno, name.partition(".")[0]) for name in names)  # type: ignore[attr-defined]


def allowed(importer: str, other: str) -> bool:
    """Tell whether one of the project's packages may import another one."""
    if importer == other:
        return True
    if importer == "netfile_spec":
        return False
    if importer == "cnnrt":
        return other == "netfile_spec"
    # Plugins stand on the core. What a layer is (its fields) is known to all; how it runs and how it came in to nobody.
    return other in ("netfile_spec", "cnnrt", "cnnrt_layers")


def test_the_rule_itself() -> None:
    assert allowed("cnnrt", "netfile_spec")
    assert allowed("cnnrt_backend_a", "cnnrt_layers")
    forbidden = [
        ("netfile_spec", "cnnrt"),
        ("cnnrt", "cnnrt_layers"),
        ("cnnrt", "cnnrt_import_a"),
        ("cnnrt_layers", "cnnrt_backend_a"),
        ("cnnrt_layers", "cnnrt_import_a"),
        ("cnnrt_backend_a", "cnnrt_backend_b"),
        ("cnnrt_import_a", "cnnrt_backend_a"),
        ("cnnrt_import_a", "cnnrt_import_b"),
    ]
    assert not [pair for pair in forbidden if allowed(*pair)]


def test_imports_are_found_wherever_they_stand(tmp_path: Path) -> None:
    (tmp_path / "m.py").write_text(
        "import a.b, c\nfrom d.e import f\nfrom . import g\ndef h():\n    import i\n    import_module('j.k')\n"
    )
    assert sorted(name for _, name in imported(tmp_path / "m.py")) == ["a", "c", "d", "i", "j"]


def test_imports_point_in_the_allowed_directions(repository: Path) -> None:
    known = packages(repository)
    assert {"netfile_spec", "cnnrt", "cnnrt_layers", "cnnrt_backend_sequential", "cnnrt_import_caffe"} <= set(known)
    wrong, right = [], set()
    for name, folder in known.items():
        for module in sorted(folder.rglob("*.py")):
            for line, other in imported(module):
                if other in known or other.startswith("cnnrt"):
                    if allowed(name, other):
                        right.add((name, other))
                    else:
                        wrong.append(f"{module.relative_to(repository)}:{line}: {name} imports {other}")
    assert wrong == []
    assert ("cnnrt_layers", "cnnrt") in right


def test_shelves_are_folders_and_no_packages(repository: Path) -> None:
    assert not [shelf for shelf in SHELVES if (repository / shelf / "__init__.py").exists()]


@pytest.mark.parametrize(
    ("package", "without"),
    [("netfile_spec", "cnnrt"), ("cnnrt.net", "cnnrt_"), ("cnnrt_layers", "cnnrt_backend_"), ("cnnrt.cli", "cnnrt_")],
)
def test_a_package_works_where_what_it_must_not_import_is_not_there(package: str, without: str) -> None:
    script = f"""
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0].startswith({without!r}):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
import {package}
assert not [m for m in sys.modules if m.partition(".")[0].startswith({without!r})]
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
