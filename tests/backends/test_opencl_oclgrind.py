"""Oclgrind, a simulated device that watches memory, finds nothing in the kernels, and would find what there is to find.

`make oclgrind` tries far more: every combination of tunables, on more calls.
"""

from __future__ import annotations

import shutil

import pytest

pytest.importorskip("pyopencl", reason="the OpenCL backend needs pyopencl")

from cnnrt_backend_opencl.kernel_list import opencl_kernels
from opencl_suite.planted_faults import FAULTS
from opencl_suite.under_oclgrind import run_under_oclgrind

pytestmark = pytest.mark.skipif(shutil.which("oclgrind") is None, reason="Oclgrind is not installed")


def test_nothing_is_reported_of_any_kernel() -> None:
    outcome = run_under_oclgrind(["--variants", "default", "--cases", "3"], seconds=300)
    assert outcome.problems == ()
    assert outcome.report.strip() == ""
    assert outcome.runs.keys() == {f"{kernel.layer.lower()}/{kernel.name}" for kernel in opencl_kernels()}
    assert min(outcome.runs.values()) >= 1


def test_faults_would_be_reported() -> None:
    outcome = run_under_oclgrind([], seconds=120, module="opencl_suite.planted_faults")
    assert outcome.runs == {"planted": len(FAULTS)}
    for told in ("Invalid write of size 4", "Invalid read of size 4", "data race", "uninitialized value"):
        assert told in outcome.report
