"""The OpenCL backend passes the conformance kit on Intel's runtime for processors, where that is installed.

`make intel` installs it and runs this. Its wheel registers it where no loader looks, so a process of its own is told.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

pytest.importorskip("pyopencl", reason="the OpenCL backend needs pyopencl")

from cnnrt_backend_opencl.kernel_list import opencl_kernels


def intel_library() -> Path | None:
    """Return the library of Intel's runtime, as pip installs it."""
    try:
        files = metadata.files("intel-opencl-rt") or ()
    except metadata.PackageNotFoundError:
        return None
    return next((Path(str(file.locate())).resolve() for file in files if file.name == "libintelocl.so"), None)


def test_the_conformance_kit_passes_on_intels_runtime(repository: Path, tmp_path: Path) -> None:
    library = intel_library()
    if "intel" in os.environ.get("CNNRT_OPENCL", ""):
        assert library, "it was to be installed here"
    elif library is None:
        pytest.skip("Intel's runtime for processors is not installed; `make intel` does that")
    assert library
    (tmp_path / "intel.icd").write_text(f"{library}\n")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment |= {"OCL_ICD_VENDORS": str(tmp_path), "LD_LIBRARY_PATH": str(library.parent)}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "tests/opencl_suite/on_intels_runtime.py",
    ]
    done = subprocess.run(command, cwd=repository, env=environment, capture_output=True, text=True, timeout=3000)
    assert done.returncode == 0, done.stdout[-10_000:] + done.stderr
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed, done.stdout
    assert int(passed[1]) > len(opencl_kernels())
