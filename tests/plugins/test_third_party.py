"""The example distributions under plugins/ as a stranger gets them: installed beside the wheel in a fresh environment.

Nothing of them is imported here. cnnrt and the distributions are built as wheels and installed by pip into an empty
virtual environment. What they depend on is not downloaded again: it is linked from the environment that runs the tests.
numexpr, which only one of the examples needs, is asked of pip where it is not there; without it that example is
skipped, except in CI.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
from packaging.requirements import Requirement

QUICK_GELU, NUMEXPR, PLAINTEXT = DISTRIBUTIONS = ("cnnrt-quick-gelu", "cnnrt-backend-numexpr", "cnnrt-import-plaintext")
NEEDED = ("cnnrt", "pytest", "hypothesis")
NUMEXPR_NEEDS = "numexpr>=2.14"
KIT_CLASSES = "TestQuickGelu or TestNumexpr or TestPlaintext"
"""The kit's suites in the distributions' own tests: `cnnrt plugins verify` runs the same."""
IN_CI = os.environ.get("CI", "").lower() == "true"

QUICK_GELU_NETFILE = """
netfile_version: 1
requires: "cnnrt-quick-gelu"
layer { type: "QuickGelu" name: "s" beta: 2.0 }
"""

NUMEXPR_NETFILE = """
netfile_version: 1
requires: ["cnnrt-quick-gelu", "cnnrt-backend-numexpr"]
execution_mode: "numexpr"
layer { type: "ReLU" name: "r" bottom: "data" }
layer { type: "QuickGelu" name: "s" bottom: "r" beta: 1.0 }
layer { type: "Softmax" name: "p" }
"""

PLAINTEXT_NET = """plaintext-net 1
input 1 4 4
conv c weight=1x1x1x1:2 bias=-1
maxpool p size=2
dense fc weight=fc.npy
"""


@attrs.frozen
class Environment:
    """A virtual environment that sees nothing of the repository; `python` is its interpreter, `site` its packages."""

    folder: Path
    python: Path
    site: Path

    def run(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run its Python, away from the repository."""
        return subprocess.run(
            [str(self.python), *map(str, arguments)],
            env=clean_variables(),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=300,
        )

    def cnnrt(self, *arguments: str | Path) -> str:
        """Return what a command prints; fails with all of its output where it does."""
        done = self.run("-m", "cnnrt", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def pip(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run the pip of the running environment on this one."""
        command = [sys.executable, "-m", "pip", "--python", self.python, "--disable-pip-version-check", *arguments]
        return subprocess.run(
            [str(c) for c in command], env=clean_variables(), capture_output=True, text=True, timeout=300
        )


def clean_variables() -> dict[str, str]:
    """Return the environment variables without those by which the running Python's packages, or plugins, come in."""
    kept = {n: v for n, v in os.environ.items() if n not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")}
    kept = {n: v for n, v in kept.items() if not n.startswith("CNNRT_")}
    return {**kept, "PYTHONSAFEPATH": "1", "PYTHONDONTWRITEBYTECODE": "1"}


@pytest.fixture(scope="module")
def wheels(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Wheels of cnnrt and of the distributions."""
    folder = tmp_path_factory.mktemp("wheels")
    sources = [repository, *(repository / "plugins" / name for name in DISTRIBUTIONS)]
    builds = [
        subprocess.Popen(
            [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(source)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for source in sources
    ]
    said = [build.communicate(timeout=300)[0] for build in builds]
    assert not [text for build, text in zip(builds, said, strict=True) if build.returncode], "\n".join(said)
    return folder


@pytest.fixture(scope="module")
def environment(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """A fresh environment with cnnrt and all distributions whose dependencies can be had."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder / "venv", symlinks=os.name != "nt", with_pip=False)
    (python,) = [p for p in (folder / "venv").glob("*/python*") if p.stem == "python"]
    asked = [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    site = Path(subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip())
    fresh = Environment(folder, python, site)
    link_dependencies(folder / "dependencies")
    (site / "dependencies.pth").write_text(str(folder / "dependencies") + "\n")

    had = [QUICK_GELU, PLAINTEXT]
    if (
        not fresh.run("-c", "import numexpr").returncode
        or not fresh.pip("install", "--retries=1", NUMEXPR_NEEDS).returncode
    ):
        had.append(NUMEXPR)
    done = fresh.pip("install", "--no-index", "--find-links", wheels, "cnnrt", *had)
    assert done.returncode == 0, done.stdout + done.stderr
    return fresh


def link_dependencies(folder: Path) -> None:
    """Link what cnnrt and its kit depend on into `folder`, where it is found by one entry of the module path.

    The whole of the running site-packages would not do: it holds this project as well.
    """
    folder.mkdir()
    for distribution in dependencies():
        for top in {file.parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}:
            if not (folder / top).exists():
                (folder / top).symlink_to(Path(str(distribution.locate_file(top))))


def dependencies() -> Iterator[metadata.Distribution]:
    """Yield what is installed of what is needed, directly or not, without cnnrt itself; numexpr if it is there."""
    waiting, seen = [*NEEDED, "numexpr"], {""}
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue  # pip says so, if it is needed
        for text in distribution.requires or ():
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(requirement.name)
        if name != "cnnrt":
            yield distribution


@pytest.fixture
def with_numexpr(environment: Environment) -> Environment:
    """The environment, where the numexpr backend could be installed; in CI it must be."""
    if not (environment.site / "cnnrt_backend_numexpr.py").exists():
        assert not IN_CI, "numexpr could not be installed, and CI must test the backend that needs it"
        pytest.skip("numexpr is not installed here, and pip could not get it: pip install numexpr")
    return environment


def test_the_wheel_of_cnnrt_holds_nothing_of_them(wheels: Path) -> None:
    (own,) = wheels.glob("cnnrt-[0-9]*.whl")
    with zipfile.ZipFile(own) as archive:
        names = archive.namelist()
    assert "cnnrt/__init__.py" in names
    assert not [n for n in names if any(word in n for word in ("quick-gelu", "numexpr", "plaintext"))]


@pytest.mark.parametrize(
    ("distribution", "top"),
    [
        (QUICK_GELU, "cnnrt_quick_gelu"),
        (NUMEXPR, "cnnrt_backend_numexpr.py"),
        (PLAINTEXT, "cnnrt_import_plaintext"),
    ],
)
def test_each_wheel_holds_its_module_and_nothing_else(wheels: Path, distribution: str, top: str) -> None:
    (wheel,) = wheels.glob(f"{distribution.replace('-', '_')}-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.partition("/")[0] for name in archive.namelist()}
    assert {name for name in tops if not name.endswith(".dist-info")} == {top}


def test_they_are_listed_with_where_they_come_from_and_none_failed(with_numexpr: Environment) -> None:
    listed = json.loads(with_numexpr.cnnrt("plugins", "--json"))
    assert not listed["collisions"]
    assert not [p["problem"] for p in listed["plugins"] if p["problem"]]
    found = {p["distribution"]: p for p in listed["plugins"]}
    assert set(found) == {"cnnrt", *DISTRIBUTIONS}
    assert found[QUICK_GELU]["provides"] == ["QuickGelu", "QuickGelu/chunks"]
    assert found[NUMEXPR]["provides"][0] == "numexpr"
    assert found[PLAINTEXT]["provides"] == ["plaintext"]
    for plugin in listed["plugins"]:
        assert Path(plugin["path"]).is_relative_to(with_numexpr.site), "installed, not run from the repository"


def computed(environment: Environment, netfile: Path, images: np.ndarray[Any, Any], *options: str) -> Any:
    """Return what `cnnrt run` makes of images."""
    np.save(netfile.parent / "in.npy", images)
    out = netfile.parent / "out.npy"
    environment.cnnrt("run", netfile, netfile.parent / "in.npy", "-o", out, *options)
    return np.load(out)


def plan(environment: Environment, netfile: Path, shape: str) -> dict[str, str]:
    """Return for each layer the backend and kernel that `cnnrt show` states."""
    shown = json.loads(environment.cnnrt("show", netfile, "--input", shape, "--json"))
    return {row["layer"]: f"{row['backend']}/{row['kernel']}" for row in shown["plan"]["rows"]}


def test_a_netfile_uses_the_layer_by_its_own_kernel(environment: Environment, tmp_path: Path) -> None:
    path = tmp_path / "quick_gelu.netfile"
    path.write_text(QUICK_GELU_NETFILE)
    x = np.linspace(-3, 3, 12, dtype=np.float32).reshape(1, 3, 2, 2)
    y = computed(environment, path, x, "--mode", "sequential", "--strict")
    np.testing.assert_allclose(y, x / (1 + np.exp(-2 * x.astype(np.float64))), rtol=1e-5)
    assert plan(environment, path, "1,3,2,2") == {"s": "sequential/chunks"}


def test_a_netfile_chooses_the_backend_and_what_it_lacks_runs_by_reference(
    with_numexpr: Environment, tmp_path: Path
) -> None:
    path = tmp_path / "numexpr.netfile"
    path.write_text(NUMEXPR_NETFILE)
    x = np.linspace(-3, 3, 10, dtype=np.float32).reshape(2, 5)
    rectified = np.maximum(x, 0).astype(np.float64)
    powers = np.exp(rectified / (1 + np.exp(-rectified)))
    np.testing.assert_allclose(computed(with_numexpr, path, x), powers / powers.sum(axis=1, keepdims=True), rtol=1e-5)
    expected = {"r": "numexpr/expression", "s": "core/reference", "p": "numexpr/expression"}
    assert plan(with_numexpr, path, "2,5") == expected
    refused = with_numexpr.run("-m", "cnnrt", "run", path, tmp_path / "in.npy", "--strict")
    assert refused.returncode == 1
    assert "numexpr has no kernel for QuickGelu" in refused.stderr


def test_a_text_is_converted_and_runs(environment: Environment, tmp_path: Path) -> None:
    np.save(tmp_path / "fc.npy", np.eye(4, dtype=np.float32)[:2])
    (tmp_path / "net.txt").write_text(PLAINTEXT_NET)
    environment.cnnrt("convert", tmp_path / "net.txt", "-o", tmp_path / "out")
    x = np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4)
    np.testing.assert_array_equal(computed(environment, tmp_path / "out" / "net.netfile", x), [[9, 13]])


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_each_is_graded_green_and_passes_its_own_tests(
    environment: Environment, repository: Path, tmp_path: Path, distribution: str, request: pytest.FixtureRequest
) -> None:
    if distribution == NUMEXPR:
        request.getfixturevalue("with_numexpr")
    graded = json.loads(environment.cnnrt("plugins", "verify", distribution, "--json"))
    outcomes = [check["outcome"] for check in graded["checks"]]
    assert graded["passed"]
    assert "fail" not in outcomes
    assert outcomes.count("pass") > 10
    source = repository / "plugins" / distribution
    shutil.copytree(source / "tests", tmp_path / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(source / "pyproject.toml", tmp_path)
    done = environment.run("-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", f"not ({KIT_CLASSES})", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
