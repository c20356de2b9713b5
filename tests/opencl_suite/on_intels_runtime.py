"""The OpenCL backend held to the conformance kit on Intel's runtime for processors, a second compiler.

A test module that only `tests/backends/test_opencl_intel.py` runs: in a process of its own, where the runtime is found.
"""

from __future__ import annotations

import os

from cnnrt.backend import Device
from cnnrt.plugins import PluginHost, plugin_host
from cnnrt.testing import BackendSuite
from cnnrt.testing.kernel_checks import KernelKey
from cnnrt.testing.offered import offered
from cnnrt_backend_opencl.backend import OpenCLBackend
from cnnrt_backend_opencl.kernel_list import opencl_kernels
from opencl_suite.kernels import FOR_CARDS

HOST = offered(layers=list(plugin_host().layers().values()), backends=[OpenCLBackend()], kernels=opencl_kernels())


class TestOnIntelsRuntime(BackendSuite):
    """Few calls of each kernel, so that the suite stays quick; `CNNRT_HEAVY_TESTS=1` tries as many as elsewhere."""

    backend = "opencl"
    share = 1.0 if os.environ.get("CNNRT_HEAVY_TESTS") == "1" else 0.04
    test_kernel_allocates_nothing_beside_its_workspace = None  # see test_opencl_kernels.py

    @classmethod
    def host(cls) -> PluginHost:
        return HOST

    @classmethod
    def kernel_keys(cls) -> list[KernelKey]:
        """Return those that a processor takes."""
        return [key for key in super().kernel_keys() if key[2] not in FOR_CARDS]

    def device(self) -> Device:
        """Return Intel's device, which is the preferred one too: nothing here is skipped where it is missing."""
        device = HOST.backends()["opencl"].devices()[0]
        assert (device.name, device.problem) == ("intel", "")
        return device
