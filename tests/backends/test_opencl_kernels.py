"""The OpenCL backend held to the conformance kit on PoCL; for Intel's runtime see test_opencl_intel.py."""

from __future__ import annotations

import os

import pytest

pytest.importorskip("pyopencl", reason="the OpenCL backend needs pyopencl")

from cnnrt.plugins import PluginHost, plugin_host
from cnnrt.testing import BackendSuite
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


def test_every_kind_of_layer_in_published_networks_has_a_kernel() -> None:
    """So that this file cannot pass because nothing was found."""
    covered = {layer for layer, _, _ in HOST.kernels()}
    assert covered >= {"convolution", "pooling", "lrn", "fullyconnected", "relu", "softmax", "eltwise", "concat"}
