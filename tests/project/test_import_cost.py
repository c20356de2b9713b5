"""`import cnnrt` costs next to nothing, and computing imports nothing that it does not need."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

MOST_SECONDS = 0.15
"""What importing cnnrt may add to importing NumPy."""

HEAVY = ("rich", "click", "PIL", "google.protobuf", "psutil", "onnx", "scipy", "platformdirs")


def run(script: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=120
    ).stdout


def test_importing_it_adds_little_to_importing_numpy() -> None:
    script = "import numpy, time; t = time.perf_counter(); import cnnrt; print(time.perf_counter() - t)"
    # The least of several: a busy machine can make an import slower, never quicker. A quick one ends it.
    fastest = float("inf")
    for _ in range(8):
        fastest = min(fastest, float(run(script)))
        if fastest <= MOST_SECONDS / 2:
            break
    assert fastest <= MOST_SECONDS


def modules_after(script: str) -> set[str]:
    listed = run(f"{script}\nimport sys; print(*sys.modules)").split()
    return {heavy for heavy in HEAVY if any(m == heavy or m.startswith(f"{heavy}.") for m in listed)}


def test_the_list_of_heavy_modules_would_be_noticed() -> None:
    assert modules_after("import PIL.Image, click") >= {"PIL", "click"}


@pytest.mark.parametrize(
    "statement", ["import cnnrt", "from cnnrt import Net", "from cnnrt import convert", "import netfile_spec"]
)
def test_importing_it_imports_nothing_heavy(statement: str) -> None:
    assert modules_after(statement) == set()


def test_import_cnnrt_alone_does_not_even_import_numpy() -> None:
    assert "numpy" not in run("import cnnrt, sys; print(*sys.modules)").split()


def test_computing_imports_no_importer_and_nothing_heavy(repository: Path) -> None:
    script = """
import numpy as np, sys
from cnnrt import Net
from cnnrt.demo import demo_netfile
Net(demo_netfile()).compute(np.zeros((1, 1, 28, 28), np.float32))
assert "cnnrt_layers" in sys.modules
assert "cnnrt_backend_sequential" in sys.modules
assert "cnnrt_import_caffe" not in sys.modules
"""
    assert modules_after(script) == set()
