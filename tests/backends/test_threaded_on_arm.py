"""The threaded backend's kernels compiled for 64-bit Arm (NEON, 32 registers), linked by our linker, and run there."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from hypothesis import assume

pytest.importorskip("llvmlite", reason="the threaded backend needs llvmlite")

from arm_suite.emulator import ArmBackend
from cnnrt.layer_call import LayerCall
from cnnrt.layouts import Reorder
from cnnrt.plugins import PluginHost, plugin_host
from cnnrt.tensor import TensorType
from cnnrt.testing.backend_facts import BackendFacts
from cnnrt.testing.case import Case
from cnnrt.testing.examination import examine
from cnnrt.testing.kernel_checks import KernelKey, assert_kernel_agrees, takes, usable_device
from cnnrt.testing.kernel_run import run_kernel
from cnnrt.testing.offered import offered
from cnnrt_backend_threaded.compiler import compile_module
from cnnrt_backend_threaded.kernels import threaded_kernels
from cnnrt_backend_threaded.target import Machine, neon_target
from cnnrt_backend_threaded.team_code import write_team

EXAMPLES = 20


@functools.cache
def host_for_arm() -> PluginHost:
    """Return a plugin host with the kernels for Arm and two threads."""
    return offered(
        layers=list(plugin_host().layers().values()),
        backends=[ArmBackend()],
        kernels=threaded_kernels(Machine(neon_target(), 2)),
    )


class TestOnArm(BackendFacts):
    """Each kernel of a layer on random calls."""

    backend = "threaded"

    @classmethod
    def kernel_keys(cls) -> list[KernelKey]:
        return [key for key in super().kernel_keys() if key[0] != Reorder.type.lower()]  # it is no layer

    @classmethod
    def host(cls) -> PluginHost:
        return host_for_arm()

    def test_kernel_agrees_with_the_reference(self, kernel_key: KernelKey | None) -> None:
        kernel, backend, device, suite = self.installed(kernel_key)

        def check(case: Case) -> None:
            assume(takes(kernel, case.call, device))
            assert_kernel_agrees(kernel, backend, device, case, suite, threads=2)

        examine(suite.cases(), check, EXAMPLES, none=f"{kernel.name} takes no call of its layer's suite")


def test_the_thread_team_links_for_arm() -> None:
    """Its atomic operations need no library: what is not in the module would be an error."""
    image = compile_module(write_team(neon_target()), neon_target(), ["run", "serve", "pause"])
    assert len(set(image.entries.values())) == 3


@pytest.mark.parametrize(("source", "wanted"), [("NCHW", "NHWC"), ("NHWC", "NCHW")])
@pytest.mark.parametrize("shape", [(2, 5, 7, 9), (1, 64, 16, 17), (1, 3, 1, 1)])
def test_layouts_are_changed(source: str, wanted: str, shape: tuple[int, ...]) -> None:
    backend = ArmBackend()
    device = usable_device(backend)
    layer = Reorder(source=source, target=wanted)
    call = LayerCall(layer, (TensorType(shape, layout=source),), (TensorType(shape, layout=wanted),))
    values = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    kernel = host_for_arm().kernels()["reorder", "threaded", "transpose"]
    (result,) = run_kernel(kernel, backend, device, Case(call, 0, (values,), {}), threads=2)
    assert np.array_equal(result, values)
