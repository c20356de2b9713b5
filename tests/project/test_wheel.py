"""The wheel: small, complete, and no name in site-packages that could be anybody's."""

from __future__ import annotations

import configparser
import email
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import cnnrt

PACKAGES = {
    "cnnrt",
    "netfile_spec",
    "cnnrt_layers",
    "cnnrt_backend_opencl",
    "cnnrt_backend_renderscript",
    "cnnrt_backend_sequential",
    "cnnrt_backend_threaded",
    "cnnrt_export_cnndroid",
    "cnnrt_export_onnx",
    "cnnrt_import_caffe",
    "cnnrt_import_cuda_convnet",
    "cnnrt_import_darknet",
    "cnnrt_import_keras",
    "cnnrt_import_onnx",
    "cnnrt_import_pytorch",
    "cnnrt_import_tensorflow",
    "cnnrt_import_tflite",
    "cnnrt_import_theano",
    "cnnrt_import_torch7",
    "cnnrt_import_veles",
    "cnnrt_meters",
}
LARGEST = 5 * 1000 * 1000


@pytest.fixture(scope="module")
def wheel(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(repository)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def names(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def text_in(wheel: Path, name: str) -> str:
    with zipfile.ZipFile(wheel) as archive:
        (found,) = [n for n in archive.namelist() if n.endswith(f".dist-info/{name}")]
        return archive.read(found).decode()


def test_it_is_pure_python_and_small(wheel: Path) -> None:
    assert wheel.name == f"cnnrt-{cnnrt.__version__}-py3-none-any.whl"
    assert wheel.stat().st_size < LARGEST


def test_it_installs_these_top_level_names_and_no_other(names: list[str]) -> None:
    tops = {name.partition("/")[0] for name in names}
    assert tops == PACKAGES | {f"cnnrt-{cnnrt.__version__}.dist-info"}


def test_it_holds_every_source_file_and_nothing_of_the_workshop(names: list[str], repository: Path) -> None:
    expected = set()
    for package in PACKAGES:
        (folder,) = [
            p for p in (repository / package, *repository.glob(f"*/{package}")) if (p / "__init__.py").exists()
        ]
        expected |= {f"{package}/{f.relative_to(folder).as_posix()}" for f in folder.rglob("*.py")}
    inside = {name for name in names if name.endswith(".py")}
    assert inside == expected
    own = [name for name in names if not name.startswith("cnnrt/plugin_template/")]  # that one brings tests for others
    assert not [name for name in own if re.search(r"(^|/)(tests?|docs|__pycache__)/|\.pyc$", name)]


def test_types_demo_and_licences_are_in_it(names: list[str]) -> None:
    assert {f"{package}/py.typed" for package in PACKAGES} <= set(names)
    assert "cnnrt/demo/net.netfile" in names
    assert "cnnrt/demo/LICENSE-digits.md" in names
    assert sum(name.startswith("cnnrt/demo/digits/") and name.endswith(".png") for name in names) >= 24
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


def test_sources_that_are_compiled_elsewhere_are_in_it(names: list[str], repository: Path) -> None:
    """Kernels for OpenCL and RenderScript, and what runs them."""
    found = [p for kind in ("*.cl", "*.rs", "*.rsh", "*.c", "*.h") for p in (repository / "backends").rglob(kind)]
    assert len(found) > 10
    assert {p.relative_to(repository / "backends").as_posix() for p in found} <= set(names)


def test_its_metadata_states_version_python_and_command(wheel: Path) -> None:
    metadata = email.message_from_string(text_in(wheel, "METADATA"))
    assert (metadata["Name"], metadata["Version"]) == ("cnnrt", cnnrt.__version__)
    assert metadata["Requires-Python"] == ">=3.11"
    assert "msgpack>=1.2.3" in metadata.get_all("Requires-Dist", [])
    points = configparser.ConfigParser(delimiters=("=",))
    points.optionxform = str  # type: ignore[assignment, method-assign]  # names of entry points keep their case
    points.read_string(text_in(wheel, "entry_points.txt"))
    assert dict(points["console_scripts"]) == {"cnnrt": "cnnrt.cli:main"}
    assert dict(points["cnnrt.plugins"]) == {
        "layer.cnnrt": "cnnrt_layers",
        "backend.opencl": "cnnrt_backend_opencl",
        "backend.renderscript": "cnnrt_backend_renderscript",
        "backend.sequential": "cnnrt_backend_sequential",
        "backend.threaded": "cnnrt_backend_threaded",
        "exporter.cnndroid": "cnnrt_export_cnndroid",
        "exporter.onnx": "cnnrt_export_onnx",
        "importer.caffe": "cnnrt_import_caffe",
        "importer.cuda-convnet": "cnnrt_import_cuda_convnet",
        "importer.darknet": "cnnrt_import_darknet",
        "importer.keras": "cnnrt_import_keras",
        "importer.onnx": "cnnrt_import_onnx",
        "importer.pytorch": "cnnrt_import_pytorch",
        "importer.tensorflow": "cnnrt_import_tensorflow",
        "importer.tflite": "cnnrt_import_tflite",
        "importer.theano": "cnnrt_import_theano",
        "importer.torch7": "cnnrt_import_torch7",
        "importer.veles": "cnnrt_import_veles",
        "meter.cnnrt": "cnnrt_meters",
    }


def test_it_computes_from_what_is_in_it_alone(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    script = """
import numpy as np
import cnnrt, cnnrt_layers, netfile_spec
from cnnrt import Net
from cnnrt.demo import demo_netfile
net = Net(demo_netfile(), strict=True)
probabilities = net.compute(np.zeros((2, 1, 28, 28), np.float32))
print(probabilities.shape, *(m.__file__ for m in (cnnrt, cnnrt_layers, netfile_spec)), sep="\\n")
"""
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONSAFEPATH": "1"}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    shape, *files = done.stdout.split("\n")[:4]
    assert shape == "(2, 10)"
    assert all(Path(file).is_relative_to(tmp_path) for file in files)
