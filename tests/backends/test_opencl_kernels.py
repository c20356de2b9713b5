"""The OpenCL backend held to the conformance kit on the preferred device, PoCL where there is no other.

For Intel's runtime see test_opencl_intel.py.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import assume

pytest.importorskip("pyopencl", reason="the OpenCL backend needs pyopencl")

from cnnrt.plugins import PluginHost, plugin_host
from cnnrt.testing import BackendSuite
from cnnrt.testing.backend_facts import BackendFacts
from cnnrt.testing.case import Case
from cnnrt.testing.examination import examine
from cnnrt.testing.kernel_checks import KernelKey, assert_kernel_agrees, takes, usable_device
from cnnrt.testing.offered import offered
from cnnrt_backend_opencl.backend import OpenCLBackend
from cnnrt_backend_opencl.kernel_list import opencl_kernels
from cnnrt_backend_opencl.limits import limits_of
from opencl_suite.drivers import GraphicsCardDriver
from opencl_suite.kernels import FOR_CARDS, FOR_PROCESSORS

HOST = offered(layers=list(plugin_host().layers().values()), backends=[OpenCLBackend()], kernels=opencl_kernels())

CARD = offered(
    layers=list(plugin_host().layers().values()),
    backends=[OpenCLBackend(GraphicsCardDriver())],
    kernels=opencl_kernels(),
)
CUT_FOR_CARDS = FOR_CARDS | {"gemm", "dot", "depthwise", "squares", "windows", "broadcast", "gather", "taps"}
GROUPED = ("reduction/groups", "groupnorm/groups")
"""Two of those that sum up groups of values, which compile for long."""

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

    @classmethod
    def kernel_keys(cls) -> list[KernelKey]:
        return [key for key in super().kernel_keys() if key[2] not in kernels_of_others(HOST)]


class TestAsAGraphicsCard(BackendFacts):
    """PoCL, where kernels take it for a graphics card: those that cut their work otherwise for one."""

    backend = "opencl"
    share = SHARE

    @classmethod
    def host(cls) -> PluginHost:
        return CARD

    @classmethod
    def kernel_keys(cls) -> list[KernelKey]:
        return [k for k in super().kernel_keys() if k[2] in CUT_FOR_CARDS or f"{k[0]}/{k[2]}" in GROUPED]

    def test_kernel_agrees_with_the_reference(self, kernel_key: KernelKey | None) -> None:
        kernel, backend, device, suite = self.installed(kernel_key)
        assert not limits_of(device).cpu

        def check(case: Case) -> None:
            assume(takes(kernel, case.call, device))
            assert_kernel_agrees(kernel, backend, device, case, suite)

        examine(self.cases(kernel), check, self.examples(50), none=f"{kernel.name} takes no call")


def kernels_of_others(host: PluginHost) -> frozenset[str]:
    """Return the names of kernels that are not for the preferred device's kind."""
    device = usable_device(host.backends()["opencl"])
    return FOR_CARDS if limits_of(device).cpu else FOR_PROCESSORS


def test_every_kind_of_layer_in_published_networks_has_a_kernel() -> None:
    """So that this file cannot pass because nothing was found."""
    covered = {layer for layer, _, _ in HOST.kernels()}
    assert covered >= {"convolution", "pooling", "lrn", "fullyconnected", "relu", "softmax", "eltwise", "concat"}
