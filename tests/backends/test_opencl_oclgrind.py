"""Oclgrind, a simulated device that watches memory, finds nothing in the kernels, and would find what there is to find.

`make oclgrind` tries far more: all kernels with every combination of tunables, on more calls.
"""

from __future__ import annotations

import shutil

import pytest

pytest.importorskip("pyopencl", reason="the OpenCL backend needs pyopencl")

from cnnrt_backend_opencl.kernel_list import opencl_kernels
from opencl_suite.planted_faults import FAULTS
from opencl_suite.under_oclgrind import run_under_oclgrind

pytestmark = pytest.mark.skipif(shutil.which("oclgrind") is None, reason="Oclgrind is not installed")


def test_nothing_is_reported_of_a_kernel_of_each_class() -> None:
    one_of_each = {type(kernel): f"{kernel.layer.lower()}/{kernel.name}" for kernel in opencl_kernels()}
    names = sorted(one_of_each.values())
    outcome = run_under_oclgrind(["--variants", "default", "--cases", "2", *names], seconds=300)
    assert outcome.problems == ()
    assert outcome.report.strip() == ""
    assert sorted(outcome.runs) == names
    assert min(outcome.runs.values()) >= 1


def test_faults_would_be_reported() -> None:
    outcome = run_under_oclgrind([], seconds=120, module="opencl_suite.planted_faults")
    assert outcome.runs == {"planted": len(FAULTS)}
    for told in ("Invalid write of size 4", "Invalid read of size 4", "data race", "uninitialized value"):
        assert told in outcome.report
