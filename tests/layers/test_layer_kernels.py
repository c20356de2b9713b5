"""Every kernel of every installed backend against the layer's reference: the same random calls for all of them.

A new backend is tested here by being installed. A kernel is only spared the calls that its `can_run` declines.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cnnrt.backend import Backend, Device, Kernel
from cnnrt.plugins import plugin_host
from cnnrt.tensor import PLAIN
from layer_suite.case import Case
from layer_suite.error_bounds import FLOAT32, allowed_error
from layer_suite.kernel_run import packed_bytes, run_kernel
from layer_suite.network_cases import NETWORK_CASES
from layer_suite.random_cases import RANDOM_CASES, random_cases

KERNELS: Mapping[tuple[str, str, str], Kernel] = plugin_host().kernels()
BACKENDS: Mapping[str, Backend] = plugin_host().backends()

EVERY_KERNEL = pytest.mark.parametrize("key", sorted(KERNELS), ids="-".join)


def installed(key: tuple[str, str, str]) -> tuple[Kernel, Backend, Device]:
    """Return a kernel with its backend and the first usable device; skips, with the reason, where there is none."""
    kernel = KERNELS[key]
    backend = BACKENDS.get(kernel.backend)
    if backend is None:
        pytest.skip(f"backend {kernel.backend!r} of kernel {kernel.name!r} is not installed")
    devices = backend.devices()
    usable = [device for device in devices if not device.problem]
    if not usable:
        pytest.skip(f"{kernel.backend} has no usable device: {'; '.join(d.problem for d in devices) or 'none found'}")
    if (kernel.takes, kernel.gives) != (PLAIN, PLAIN):
        pytest.skip(f"{kernel.name} takes {kernel.takes} and gives {kernel.gives}; this suite speaks {PLAIN}")
    if kernel.layer.lower() not in RANDOM_CASES:
        pytest.skip(f"the suite has no random cases for layer {kernel.layer!r}")
    return kernel, backend, usable[0]


def runs(kernel: Kernel, case: Case, device: Device) -> bool:
    """Tell whether the kernel takes the case; a refusal must give a reason."""
    answer = kernel.can_run(case.call, device)
    assert answer is True or (isinstance(answer, str) and answer), f"can_run answered {answer!r}"
    return answer is True and all(folded.type in kernel.folds for folded in case.call.folded)


def assert_right(kernel: Kernel, backend: Backend, device: Device, case: Case) -> None:
    results = run_kernel(kernel, backend, device, case)
    inputs, weights = case.in_float64()
    expected = case.call.reference(inputs, weights)
    allowed = allowed_error(case.call, inputs, weights, FLOAT32, lambda x, w: case.layer.reference(x, w)[0])
    for result, exact in zip(results, expected, strict=True):
        assert not np.isnan(result).any(), f"{kernel.name} left values unwritten"
        difference = np.abs(result - exact)
        worst = np.unravel_index(np.argmax(difference - allowed), exact.shape) if exact.size else ()
        assert np.all(difference <= allowed), (
            f"{kernel.name} is off by {difference[worst]:.3g} at {tuple(map(int, worst))}, allowed {allowed[worst]:.3g}"
        )


@EVERY_KERNEL
@given(data=st.data())
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
def test_kernel_agrees_with_the_reference_on_random_calls(key: tuple[str, str, str], data: st.DataObject) -> None:
    kernel, backend, device = installed(key)
    case = data.draw(random_cases(kernel.layer).filter(lambda case: runs(kernel, case, device)))
    assert_right(kernel, backend, device, case)


@pytest.mark.parametrize("name", NETWORK_CASES)
@pytest.mark.parametrize("backend_name", sorted(BACKENDS))
def test_kernels_agree_with_the_reference_on_layers_of_real_networks(backend_name: str, name: str) -> None:
    """Each is computed by every kernel of the backend that takes it."""
    type_name = NETWORK_CASES[name].layer.type
    candidates = [key for key in KERNELS if key[:2] == (type_name.lower(), backend_name)]
    if not candidates:
        pytest.skip(f"{backend_name} has no kernel for {type_name}: the reference runs there")
    case = NETWORK_CASES[name].make()
    able = [key for key in candidates if runs(KERNELS[key], case, installed(key)[2])]
    if not able:
        pytest.skip(f"no kernel of {backend_name} takes this call")
    for key in able:
        assert_right(*installed(key), case)


@EVERY_KERNEL
@given(data=st.data())
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
def test_what_a_kernel_states_holds(key: tuple[str, str, str], data: st.DataObject) -> None:
    kernel, _, device = installed(key)
    case = data.draw(random_cases(kernel.layer).filter(lambda case: runs(kernel, case, device)))
    estimate = kernel.estimate(case.call, device)
    assert np.isfinite(estimate)
    assert estimate >= 0
    assert kernel.workspace(case.call) >= 0
    held = packed_bytes(kernel.pack(case.call, case.weights))
    assert held is None or held == kernel.packed_bytes(case.call), "packed weights take the stated bytes"


def test_at_least_the_sequential_backend_is_tested() -> None:
    """So that this file cannot pass because nothing was found."""
    covered = {layer for layer, backend, _ in KERNELS if backend == "sequential"}
    assert covered >= {"convolution", "pooling", "lrn", "fullyconnected", "relu", "softmax", "eltwise", "concat"}
    assert covered <= set(RANDOM_CASES)
