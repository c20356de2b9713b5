"""`cnnrt plugins new`: what it writes is complete, installs with pip, and is graded green.

The plugins are installed by pip into a fresh virtual environment beside the project: nothing is downloaded, since
hatchling and what plugins depend on are seen through a path file (no build isolation, no index).
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import sysconfig
import tomllib
import venv
from pathlib import Path
from typing import Any

import pytest

from cli_suite.command import answer, complaint
from cnnrt.errors import InputError
from cnnrt.plugin_template import Kind, plugin_name, rendered

KINDS: tuple[Kind, ...] = ("layer", "backend", "importer", "meter")
PLUGINS: tuple[tuple[Kind, str, str], ...] = (
    ("layer", "soft-shrink", "SoftShrink"),
    ("backend", "plain-numpy", "plain-numpy"),
    ("importer", "word-list", "word-list"),
    ("meter", "wall-plug", "wall-plug"),
)
"""Kind, the name that is asked for, the name that the thing then has."""


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_is_a_distribution(kind: Kind) -> None:
    name = plugin_name(kind, "my-own2")
    texts = {str(path): text for path, text in rendered(name).items()}
    project = tomllib.loads(texts["pyproject.toml"])
    assert project["project"]["name"] == name.distribution
    assert project["project"]["entry-points"]["cnnrt.plugins"] == {f"{kind}.my-own2": name.module}
    assert {"README.md", "pyproject.toml", "tests/test_my_own2.py"} < set(texts)
    assert any(path.startswith(name.module) for path in texts)
    for path, text in texts.items():
        assert "$" not in text, "every word is filled in"
        assert "template" not in path
        assert max(len(line) for line in text.splitlines()) <= 120
        if path.endswith(".py"):
            ast.parse(text)


@pytest.mark.parametrize("kind", KINDS)
def test_the_tests_that_are_written_take_five_lines(kind: Kind) -> None:
    texts = {str(path): text for path, text in rendered(plugin_name(kind, "x")).items()}
    lines = [line for line in texts["tests/test_x.py"].splitlines() if line.strip()]
    assert len(lines) <= 5


@pytest.mark.parametrize(
    ("name", "spellings"),
    [
        ("quick-gelu", ("quick-gelu", "QuickGelu", "cnnrt-quick-gelu", "cnnrt_quick_gelu")),
        ("SoftShrink", ("soft-shrink", "SoftShrink", "cnnrt-soft-shrink", "cnnrt_soft_shrink")),
        ("soft_shrink", ("soft-shrink", "SoftShrink", "cnnrt-soft-shrink", "cnnrt_soft_shrink")),
        ("cnnrt-soft-shrink", ("soft-shrink", "SoftShrink", "cnnrt-soft-shrink", "cnnrt_soft_shrink")),
        ("a2b", ("a2b", "A2b", "cnnrt-a2b", "cnnrt_a2b")),
    ],
)
def test_a_name_in_all_its_spellings(name: str, spellings: tuple[str, ...]) -> None:
    found = plugin_name("layer", name)
    assert (found.dashed, found.camel, found.distribution, found.module) == spellings


@pytest.mark.parametrize(
    "name",
    ["", "2fast", "-x", "x-", "a--b", "a b", "a/b", "../x", "naïve", "x" * 41, "a.b", "a\0b", "a\nb", "none", "true"],
)
def test_what_cannot_be_a_name(name: str) -> None:
    with pytest.raises(InputError, match="name"):
        plugin_name("layer", name)


@pytest.mark.parametrize("name", ["parallel", "core"])
def test_names_that_cnnrt_gives_a_meaning_to_are_no_backends(name: str) -> None:
    assert "another meaning" in complaint("plugins", "new", "backend", name)


def test_a_name_that_is_taken_is_refused(tmp_path: Path) -> None:
    message = complaint("plugins", "new", "layer", "relu", "-o", tmp_path / "x")
    assert "provides a layer named 'relu' already" in message
    assert not (tmp_path / "x").exists()


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    for target in (tmp_path, tmp_path / "mine"):
        assert "exists and is not an empty folder" in complaint("plugins", "new", "layer", "swoosh", "-o", target)
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("mine", "precious")]


def test_an_empty_folder_is_filled_and_what_was_written_is_listed(tmp_path: Path) -> None:
    text = answer("plugins", "new", "layer", "swoosh", "-o", tmp_path)
    written = sorted(p for p in tmp_path.rglob("*") if p.is_file())
    assert all(str(path) in text for path in written)
    assert len(written) == 4
    assert "cnnrt plugins verify Swoosh" in text


def test_a_folder_that_cannot_be_written_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "cannot be written" in complaint("plugins", "new", "layer", "swoosh", "-o", tmp_path / "file" / "beneath")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment's Python, with one new plugin of each kind installed; their sources are beside it."""
    folder = tmp_path_factory.mktemp("new plugins")
    sources = [folder / name for _, name, _ in PLUGINS]
    for (kind, name, _), source in zip(PLUGINS, sources, strict=True):
        answer("plugins", "new", kind, name, "-o", source)
    environment = folder / "environment"
    venv.create(environment, with_pip=False)
    base = {"base": str(environment), "platbase": str(environment)}
    packages = Path(sysconfig.get_path("purelib", "venv", base))
    # `addsitedir` rather than a plain path: it heeds the path file by which an editable cnnrt is found.
    beside = f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n"
    (packages / "beside.pth").write_text(beside, encoding="utf-8")
    python = Path(sysconfig.get_path("scripts", "venv", base)) / Path(sys.executable).name
    offline = ["--no-index", "--no-deps", "--no-build-isolation", "--quiet", "--disable-pip-version-check"]
    run([sys.executable, "-m", "pip", "--python", str(python), "install", *offline, *map(str, sources)], folder)
    return python


def run(command: list[str], folder: Path, code: int = 0) -> str:
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == code, result.stdout + result.stderr
    return result.stdout


def test_installed_plugins_are_listed_beside_the_built_in_ones(installed: Path, tmp_path: Path) -> None:
    listed = json.loads(run([str(installed), "-m", "cnnrt", "plugins", "--json"], tmp_path))
    found: dict[str, Any] = {p["distribution"]: p for p in listed["plugins"]}
    assert {"cnnrt", *(plugin_name(kind, name).distribution for kind, name, _ in PLUGINS)} <= set(found)
    assert not any(p["problem"] for p in listed["plugins"] if p["distribution"] != "cnnrt")
    assert listed["collisions"] == []
    assert all(
        str(tmp_path.anchor) in p["path"] and "environment" in p["path"] for d, p in found.items() if d != "cnnrt"
    )


@pytest.mark.parametrize(("kind", "name", "thing"), PLUGINS, ids=KINDS)
def test_a_new_plugin_is_graded_green(installed: Path, tmp_path: Path, kind: str, name: str, thing: str) -> None:
    graded = json.loads(run([str(installed), "-m", "cnnrt", "plugins", "verify", thing, "--json"], tmp_path))
    outcomes = [check["outcome"] for check in graded["checks"]]
    assert graded["passed"]
    assert outcomes.count("pass") >= (3 if kind == "meter" else 12)  # a meter holds little where it counts nothing
    assert all(check["kind"] == kind for check in graded["checks"])


def test_a_new_meter_counts_what_its_files_grow_by(installed: Path, tmp_path: Path) -> None:
    sensor = tmp_path / "sys/class/hwmon/hwmon3/energy1_input"
    sensor.parent.mkdir(parents=True)
    sensor.write_text("5000000\n", encoding="ascii")
    program = (
        "from pathlib import Path; from cnnrt_meter_wall_plug import WallPlugMeter\n"
        "sensor = Path('sys/class/hwmon/hwmon3/energy1_input'); counter = WallPlugMeter(Path('.')).open()\n"
        "for value in (5_250_000, 100, 1_000_100):\n"
        "    sensor.write_text(str(value)); print(counter.joules())\n"
    )
    assert run([str(installed), "-c", program], tmp_path) == "0.25\n0.25\n1.25\n"


def test_its_own_tests_pass(installed: Path) -> None:
    source = installed.parents[2] / "soft-shrink"
    assert " passed" in run([str(installed), "-m", "pytest", "-q", "-p", "no:cacheprovider"], source)


def test_a_new_layer_runs_from_a_netfile_on_a_new_backend(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "net.netfile").write_text(
        'requires: ["cnnrt-soft-shrink", "cnnrt-backend-plain-numpy"]\nexecution_mode: "plain-numpy"\n'
        'input { shape: [1, 2, 2] }\nlayer { type: "SoftShrink" name: "h" factor: 3.0 }\n'
        'layer { type: "ReLU" name: "r" }\n'
    )
    program = (
        "import numpy as np; from cnnrt import Net; net = Net('net.netfile')\n"
        "print(net.compute(np.float32([[[1, -2], [3, 0]]])).ravel().tolist(), [r.kernel for r in net.plan.rows])"
    )
    assert run([str(installed), "-c", program], tmp_path) == "[3.0, 0.0, 9.0, 0.0] ['reference', 'clip']\n"
