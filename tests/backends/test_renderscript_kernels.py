"""The renderscript backend's kernels on the host, held to the conformance kit; and with every access checked."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cnnrt.layer_call import LayerCall
from cnnrt.layouts import Reorder
from cnnrt.plugins import PluginHost, plugin_host
from cnnrt.tensor import TensorType
from cnnrt.testing import BackendSuite
from cnnrt.testing.backend_facts import BackendFacts
from cnnrt.testing.case import Case
from cnnrt.testing.examination import examine
from cnnrt.testing.kernel_checks import KernelKey, assert_kernel_agrees, takes
from cnnrt.testing.kernel_run import run_kernel
from cnnrt.testing.offered import offered
from cnnrt.testing.suite_of import layer_suite
from cnnrt_backend_renderscript.backend import RenderScriptBackend
from cnnrt_backend_renderscript.kernel_list import renderscript_kernels
from layer_suite.network_cases import NETWORK_CASES

PROBLEM = RenderScriptBackend().devices()[0].problem
pytestmark = pytest.mark.skipif(bool(PROBLEM), reason=PROBLEM)


WIDER = ("tile8", "tile16")
"""The same script as "tile" with wider vectors: on large layers, checking accesses once is slow enough."""


@functools.cache
def host_of(*, checked: bool = False) -> PluginHost:
    """Return a plugin host with the backend for two threads."""
    return offered(
        layers=list(plugin_host().layers().values()),
        backends=[RenderScriptBackend(checked=checked, cores=2)],
        kernels=renderscript_kernels(),
    )


class TestOnTheHost(BackendSuite):
    """Everything that a backend has to hold."""

    backend = "renderscript"

    @classmethod
    def host(cls) -> PluginHost:
        return host_of()


class TestWithEveryAccessChecked(BackendFacts):
    """A read or write beyond an allocation is an error here, also where it would have gone unseen."""

    backend = "renderscript"

    @classmethod
    def host(cls) -> PluginHost:
        return host_of(checked=True)

    def test_kernel_stays_within_its_allocations(self, kernel_key: KernelKey | None) -> None:
        kernel, backend, device, suite = self.installed(kernel_key)

        def check(case: Case) -> None:
            assume(takes(kernel, case.call, device))
            assert_kernel_agrees(kernel, backend, device, case, suite, threads=2)

        examine(suite.cases(), check, 12, none=f"{kernel.name} takes no call of its layer's suite")


@pytest.mark.parametrize("checked", [False, True], ids=["fast", "checked"])
@pytest.mark.parametrize("name", NETWORK_CASES)
def test_layers_of_real_networks_are_right(name: str, checked: bool) -> None:
    """Sizes that random cases do not reach."""
    case = NETWORK_CASES[name].make()
    backend = host_of(checked=checked).backends()["renderscript"]
    device = backend.devices()[0]
    kernels = [k for k in renderscript_kernels() if k.layer == case.layer.type]
    able = [k for k in kernels if takes(k, case.call, device) and not (checked and k.name in WIDER)]
    if not able:
        pytest.skip(f"the renderscript backend has no kernel for this call of {case.layer.type}: its reference runs")
    for kernel in able:
        assert_kernel_agrees(kernel, backend, device, case, layer_suite(type(case.layer)), threads=2)


@st.composite
def images_of_any_size(draw: st.DrawFn) -> tuple[tuple[int, ...], int]:
    shape = tuple(draw(st.integers(least, most)) for least, most in ((0, 3), (1, 40), (1, 24), (1, 24)))
    return shape, draw(st.integers(0, 2**32 - 1))


@pytest.mark.parametrize(("source", "wanted"), [("NCHW", "NHWC"), ("NHWC", "NCHW")])
@given(images_of_any_size())
@settings(max_examples=30)
def test_a_change_of_layout_moves_every_value_to_its_place(
    source: str, wanted: str, drawn: tuple[tuple[int, ...], int]
) -> None:
    shape, seed = drawn
    call = LayerCall(
        Reorder(source=source, target=wanted), (TensorType(shape, layout=source),), (TensorType(shape, layout=wanted),)
    )
    values = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    kernel = host_of(checked=True).kernels()["reorder", "renderscript", "transpose"]
    backend = host_of(checked=True).backends()["renderscript"]
    assert kernel.can_run(call, backend.devices()[0]) is True
    (result,) = run_kernel(kernel, backend, backend.devices()[0], Case(call, seed, (values,), {}), threads=2)
    assert np.array_equal(result, values)


def test_every_kind_of_layer_in_published_networks_has_a_kernel() -> None:
    """So that this file cannot pass because nothing was found."""
    covered = {layer for layer, _, _ in host_of().kernels()}
    assert covered >= {"convolution", "pooling", "lrn", "fullyconnected", "relu", "softmax", "eltwise", "concat"}
