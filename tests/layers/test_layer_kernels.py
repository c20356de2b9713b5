"""Every kernel of every installed backend on layers as real networks have them.

Random calls, memory and what kernels state are for the suites: tests/cnnrt/test_testing_kit_installed.py.
"""

from __future__ import annotations

import pytest

from cnnrt.plugins import plugin_host
from cnnrt.testing.kernel_checks import assert_kernel_agrees, installed_kernel, takes
from cnnrt.testing.suite_of import layer_suite
from layer_suite.network_cases import NETWORK_CASES

HOST = plugin_host()


@pytest.mark.parametrize("name", NETWORK_CASES)
@pytest.mark.parametrize("backend_name", sorted(HOST.backends()))
def test_kernels_agree_with_the_reference_on_layers_of_real_networks(backend_name: str, name: str) -> None:
    """Each is computed by every kernel of the backend that takes it."""
    layer = type(NETWORK_CASES[name].layer)
    found = [installed_kernel(HOST, key) for key in HOST.kernels() if key[:2] == (layer.type.lower(), backend_name)]
    if not found:
        pytest.skip(f"{backend_name} has no kernel for {layer.type}: the reference runs there")
    case = NETWORK_CASES[name].make()
    able = [(kernel, backend, device) for kernel, backend, device in found if takes(kernel, case.call, device)]
    if not able:
        pytest.skip(f"no kernel of {backend_name} takes this call")
    for kernel, backend, device in able:
        assert_kernel_agrees(kernel, backend, device, case, layer_suite(layer))


def test_at_least_the_sequential_backend_is_tested() -> None:
    """So that this file cannot pass because nothing was found."""
    covered = {layer for layer, backend, _ in HOST.kernels() if backend == "sequential"}
    assert covered >= {"convolution", "pooling", "lrn", "fullyconnected", "relu", "softmax", "eltwise", "concat"}
