"""The threaded backend held to the conformance kit, for the processor at hand and for lesser vectors forced upon it."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

pytest.importorskip("llvmlite", reason="the threaded backend needs llvmlite")

from cnnrt.layer_call import LayerCall
from cnnrt.layouts import Reorder
from cnnrt.plugins import PluginHost, plugin_host
from cnnrt.tensor import TensorType
from cnnrt.testing import BackendSuite
from cnnrt.testing.backend_facts import BackendFacts
from cnnrt.testing.case import Case, with_residual
from cnnrt.testing.examination import examine
from cnnrt.testing.kernel_checks import KernelKey, assert_kernel_agrees, cases_for, takes
from cnnrt.testing.kernel_run import run_kernel
from cnnrt.testing.offered import offered
from cnnrt.testing.suite_of import layer_suite
from cnnrt_backend_threaded.backend import ThreadedBackend
from cnnrt_backend_threaded.kernels import threaded_kernels
from cnnrt_backend_threaded.target import Machine, forced_target, host_target
from cnnrt_layers import Eltwise
from layer_suite.network_cases import NETWORK_CASES


@functools.cache
def host_of(target: str, cores: int) -> PluginHost:
    """Return a plugin host with the backend for a target and so many threads."""
    machine = Machine(host_target() if target == "host" else forced_target(target), cores)
    return offered(
        layers=list(plugin_host().layers().values()),
        backends=[ThreadedBackend(machine)],
        kernels=threaded_kernels(machine),
    )


class TestOnThisProcessor(BackendSuite):
    """Its own vectors, two threads."""

    backend = "threaded"

    @classmethod
    def host(cls) -> PluginHost:
        return host_of("host", 2)


class LesserVectors(BackendFacts):
    """Another target: only the results can differ from those above."""

    backend = "threaded"

    def test_kernel_agrees_with_the_reference(self, kernel_key: KernelKey | None) -> None:
        kernel, backend, device, suite = self.installed(kernel_key)

        def check(case: Case) -> None:
            assume(takes(kernel, case.call, device))
            assert_kernel_agrees(kernel, backend, device, case, suite, threads=None)

        cases = cases_for(kernel, suite.cases(), self.host())
        examine(cases, check, 12, none=f"{kernel.name} takes no call of its layer's suite")


class TestWithAvx2(LesserVectors):
    """256 bits, sixteen registers, three threads: more than some machines have cores."""

    @classmethod
    def host(cls) -> PluginHost:
        return host_of("avx2", 3)


class TestWithSse(LesserVectors):
    """128 bits, no fused multiply-add, one thread."""

    @classmethod
    def host(cls) -> PluginHost:
        return host_of("sse", 1)


@st.composite
def images_of_any_size(draw: st.DrawFn) -> tuple[tuple[int, ...], int]:
    shape = tuple(draw(st.integers(least, most)) for least, most in ((0, 3), (1, 40), (1, 24), (1, 24)))
    return shape, draw(st.integers(0, 2**32 - 1))


@pytest.mark.parametrize("target", ["host", "avx2", "sse"])
@pytest.mark.parametrize(("source", "wanted"), [("NCHW", "NHWC"), ("NHWC", "NCHW")])
@given(images_of_any_size())
@settings(max_examples=40)
def test_a_change_of_layout_moves_every_value_to_its_place(
    target: str, source: str, wanted: str, drawn: tuple[tuple[int, ...], int]
) -> None:
    shape, seed = drawn
    call = LayerCall(
        Reorder(source=source, target=wanted), (TensorType(shape, layout=source),), (TensorType(shape, layout=wanted),)
    )
    values = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    kernel = host_of(target, 2).kernels()["reorder", "threaded", "transpose"]
    backend = host_of(target, 2).backends()["threaded"]
    assert kernel.can_run(call, backend.devices()[0]) is True
    (result,) = run_kernel(kernel, backend, backend.devices()[0], Case(call, seed, (values,), {}), threads=2)
    assert np.array_equal(result, values)


@pytest.mark.parametrize("name", NETWORK_CASES)
def test_layers_of_real_networks_are_right(name: str) -> None:
    """Sizes that random cases do not reach: many blocks of rows, many panels, parts of weights."""
    case = NETWORK_CASES[name].make()
    backend = host_of("host", 2).backends()["threaded"]
    device = backend.devices()[0]
    kernels = [k for k in threaded_kernels(Machine(host_target(), 2)) if k.layer == case.layer.type]
    able = [k for k in kernels if takes(k, case.call, device)]
    if not able:
        pytest.skip(f"the threaded backend has no kernel for this call of {case.layer.type}: its reference runs")
    for kernel in able:
        assert_kernel_agrees(kernel, backend, device, case, layer_suite(type(case.layer)), threads=2)
        if "Eltwise" in kernel.folds:
            added = with_residual(case, Eltwise())
            assert_kernel_agrees(kernel, backend, device, added, layer_suite(type(case.layer)), threads=2)


def test_every_kind_of_layer_in_published_networks_has_a_kernel() -> None:
    """So that this file cannot pass because nothing was found."""
    covered = {layer for layer, _, _ in host_of("host", 2).kernels()}
    assert covered >= {"convolution", "pooling", "lrn", "fullyconnected", "relu", "softmax", "eltwise", "concat"}
