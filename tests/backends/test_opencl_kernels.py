"""The OpenCL backend held to the conformance kit, on PoCL, and on Intel's runtime where that is installed."""

from __future__ import annotations

import os
from importlib import metadata
from pathlib import Path

import pytest

pytest.importorskip("pyopencl", reason="the OpenCL backend needs pyopencl")

from hypothesis import assume

from cnnrt.backend import Device
from cnnrt.plugins import PluginHost, plugin_host
from cnnrt.testing import BackendSuite
from cnnrt.testing.backend_facts import BackendFacts
from cnnrt.testing.case import Case
from cnnrt.testing.examination import examine
from cnnrt.testing.kernel_checks import KernelKey, assert_kernel_agrees, takes
from cnnrt.testing.offered import offered
from cnnrt_backend_opencl.backend import OpenCLBackend
from cnnrt_backend_opencl.kernel_list import opencl_kernels

HOST = offered(layers=list(plugin_host().layers().values()), backends=[OpenCLBackend()], kernels=opencl_kernels())

# Each call may be a program of its own, for which PoCL takes from a tenth of a second to two. More calls of each kernel
# are tried under Oclgrind, which compiles at once.
HEAVY = os.environ.get("CNNRT_HEAVY_TESTS") == "1"
SHARE = 1.0 if HEAVY else 0.04


class TestOnPocl(BackendSuite):
    """The preferred device; `CNNRT_HEAVY_TESTS=1` tries as many calls as for other backends."""

    backend = "opencl"
    share = SHARE
    if not HEAVY:
        # What it watches are allocations of the process, and arrays are large: of these kernels none allocates any.
        test_kernel_allocates_nothing_beside_its_workspace = None

    @classmethod
    def host(cls) -> PluginHost:
        return HOST


def intel_runtime() -> Path | None:
    """Return the library of Intel's runtime for processors, as pip installs it."""
    try:
        files = metadata.files("intel-opencl-rt") or ()
    except metadata.PackageNotFoundError:
        return None
    return next((Path(str(file.locate())) for file in files if file.name == "libintelocl.so"), None)


class TestOnIntelsRuntime(BackendFacts):
    """A second compiler; docs/opencl.md says how it is installed so that it is found."""

    backend = "opencl"
    share = SHARE

    @classmethod
    def host(cls) -> PluginHost:
        return HOST

    def device(self) -> Device:
        found = [d for d in HOST.backends()["opencl"].devices() if d.name == "intel" and not d.problem]
        if not found:
            installed = intel_runtime()
            pytest.skip(f"no platform of Intel is in sight; its library is {installed or 'not installed'}")
        return found[0]

    def test_kernel_agrees_with_the_reference(self, kernel_key: KernelKey | None) -> None:
        device = self.device()
        kernel, backend, _, suite = self.installed(kernel_key)

        def check(case: Case) -> None:
            assume(takes(kernel, case.call, device))
            assert_kernel_agrees(kernel, backend, device, case, suite)

        if kernel.layer != "Reorder":
            examine(self.cases(kernel), check, self.examples(50), none=f"{kernel.name} takes no call")


def test_every_kind_of_layer_in_published_networks_has_a_kernel() -> None:
    """So that this file cannot pass because nothing was found."""
    covered = {layer for layer, _, _ in HOST.kernels()}
    assert covered >= {"convolution", "pooling", "lrn", "fullyconnected", "relu", "softmax", "eltwise", "concat"}
