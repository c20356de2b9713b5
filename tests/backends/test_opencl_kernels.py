"""The OpenCL backend held to the conformance kit, on PoCL."""

from __future__ import annotations

import pytest

pytest.importorskip("pyopencl", reason="the OpenCL backend needs pyopencl")

from cnnrt.plugins import PluginHost, plugin_host
from cnnrt.testing import BackendSuite
from cnnrt.testing.offered import offered
from cnnrt_backend_opencl.backend import OpenCLBackend
from cnnrt_backend_opencl.kernel_list import opencl_kernels

HOST = offered(layers=list(plugin_host().layers().values()), backends=[OpenCLBackend()], kernels=opencl_kernels())


class TestOnPocl(BackendSuite):
    backend = "opencl"

    @classmethod
    def host(cls) -> PluginHost:
        return HOST
