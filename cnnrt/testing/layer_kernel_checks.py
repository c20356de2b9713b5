"""What every kernel of a layer has to hold, and that networks run the layer on every backend."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume

from cnnrt.net import Net
from cnnrt.plugins import PluginHost, plugin_host
from cnnrt.testing.agreement import assert_agree
from cnnrt.testing.case import Case
from cnnrt.testing.examination import examine
from cnnrt.testing.kernel_checks import (
    KernelKey,
    assert_kernel_agrees,
    assert_statements_hold,
    cases_for,
    installed_kernel,
    takes,
    usable_device,
)
from cnnrt.testing.layer_class_checks import LayerClassChecks
from cnnrt.testing.layer_net import fits_a_net, net_inputs, write_layer_net
from cnnrt.testing.offered import extended


class LayerKernelChecks(LayerClassChecks):
    """Checks of all installed kernels of the layer, and of networks."""

    @classmethod
    def host(cls) -> PluginHost:
        """Return a plugin host that knows the layer: what is installed, with the layer itself where it is not."""
        installed = plugin_host()
        if installed.layers().get(cls.layer.type.lower()) is cls.layer:
            return installed
        return extended(installed, layers=[cls.layer])

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Repeat checks of kernels for each installed kernel, and checks of networks for each backend."""
        if "kernel_key" in metafunc.fixturenames:
            kernels = self.host().kernels()
            keys = sorted(key for key in kernels if key[0] == self.layer.type.lower())
            ids = [f"{backend}/{name}" for _, backend, name in keys]
            metafunc.parametrize("kernel_key", keys or [None], ids=ids or ["no kernel"])
        if "backend_name" in metafunc.fixturenames:
            metafunc.parametrize("backend_name", sorted(self.host().backends()) or ["none installed"])

    def test_kernel_agrees_with_the_reference(self, kernel_key: KernelKey | None) -> None:
        """On random calls, with what is folded in, it is within the bound; nothing outside its buffers changes."""
        kernel, backend, device = self._installed(kernel_key)

        def check(case: Case) -> None:
            assume(takes(kernel, case.call, device))
            assert_kernel_agrees(kernel, backend, device, case, type(self))

        cases = cases_for(kernel, self.cases(), self.host())
        examine(cases, check, 50, none=f"{kernel.name} takes none of the calls of this suite")

    def test_kernel_states_what_holds(self, kernel_key: KernelKey | None) -> None:
        """Expected seconds, workspace, bytes of packed weights and parameters are what the kernel says."""
        kernel, _, device = self._installed(kernel_key)

        def check(case: Case) -> None:
            assume(takes(kernel, case.call, device))
            assert_statements_hold(kernel, case, device)

        cases = cases_for(kernel, self.cases(), self.host())
        examine(cases, check, 20, none=f"{kernel.name} takes none of the calls of this suite")

    def test_networks_run_it_on_every_backend(self, backend_name: str) -> None:
        """A NetFile with the layer (and what is folded into it) is computed right, by a kernel or by the reference."""
        host = self.host()
        if backend_name not in host.backends():
            pytest.skip("no backend is installed")
        usable_device(host.backends()[backend_name])

        def check(case: Case) -> None:
            assume(fits_a_net(case))
            with tempfile.TemporaryDirectory() as folder:
                path = write_layer_net(Path(folder), case, execution_mode=backend_name)
                with Net(path, plugins=host) as net:
                    got = net.compute(net_inputs(case))
                    rows = net.plan.rows
            results = list(got.values()) if isinstance(got, dict) else [got]
            inputs, weights = case.in_float64()
            who = f"the network on {backend_name!r} ({', '.join(f'{r.title}: {r.backend}/{r.kernel}' for r in rows)})"
            allowed = type(self).allowed_error(case)
            for row in rows:
                kernel = host.kernels().find((row.type.lower(), row.backend, row.kernel))
                allowed = allowed if kernel is None else tuple(kernel.error_bound(bound) for bound in allowed)
            assert_agree(results, case.call.reference(inputs, weights), allowed, who)

        examine(
            self.cases(), check, 8, none=f"no call of {self.layer.type} can be the whole of a network", may_skip=True
        )

    def _installed(self, key: KernelKey | None) -> Any:
        if key is None:
            pytest.skip(f"no installed backend has a kernel for {self.layer.type}: its reference runs everywhere")
        return installed_kernel(self.host(), key)
