"""What a backend's suite knows: which backend, on which plugin host, with which kernels for which layers."""

from __future__ import annotations

from typing import ClassVar, NoReturn

import pytest
from hypothesis.strategies import SearchStrategy

from cnnrt.backend import Backend, Device, Kernel
from cnnrt.layer import Layer
from cnnrt.plugins import PluginHost, plugin_host
from cnnrt.testing.case import Case
from cnnrt.testing.kernel_checks import KernelKey, installed_kernel, usable_device
from cnnrt.testing.layer_facts import LayerFacts
from cnnrt.testing.suite_of import layer_suite


class BackendFacts:
    """The part of a `BackendSuite` that finds things. `backend`: the name under test.

    `share`: of the usual number of random calls that each check tries; less where a compiler takes long for each.
    """

    backend: ClassVar[str]
    share: ClassVar[float] = 1.0

    @classmethod
    def examples(cls, usual: int) -> int:
        """Return how many random calls a check tries."""
        return max(2, round(usual * cls.share))

    @classmethod
    def host(cls) -> PluginHost:
        """Return the plugin host that knows the backend; override it to test one that is not installed."""
        return plugin_host()

    @classmethod
    def kernel_keys(cls) -> list[KernelKey]:
        """Return the kernels under test: all that the backend has."""
        return sorted(key for key in cls.host().kernels() if key[1] == cls.backend)

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Repeat checks of kernels for each kernel, and those of networks for each layer that has one."""
        keys = self.kernel_keys()
        if "kernel_key" in metafunc.fixturenames:
            ids = [f"{layer}/{name}" for layer, _, name in keys]
            metafunc.parametrize("kernel_key", keys or [None], ids=ids or ["no kernel"])
        if "layer_type" in metafunc.fixturenames:
            metafunc.parametrize("layer_type", sorted({key[0] for key in keys}) or [None])

    @classmethod
    def cases(cls, kernel: Kernel) -> SearchStrategy[Case]:
        """Return the calls that a kernel is tried on, of which it may decline some: those of its layer's suite.

        Override it for a kernel so particular that they hardly ever are what it takes.
        """
        return layer_suite(cls.host().layers()[kernel.layer.lower()]).cases()

    def device(self) -> Device:
        """Return the first usable device; skips where there is none."""
        return usable_device(self.host().backends()[self.backend])

    def skip_without_kernels(self) -> NoReturn:
        """Skip a check that needs a kernel."""
        pytest.skip(f"backend {self.backend!r} has no kernels: every layer runs by its reference")

    def installed(self, key: KernelKey | None) -> tuple[Kernel, Backend, Device, type[LayerFacts]]:
        """Return a kernel with its backend, a usable device and its layer's suite; skips where one is missing."""
        if key is None:
            self.skip_without_kernels()
        kernel, backend, device = installed_kernel(self.host(), key)
        return kernel, backend, device, layer_suite(self.layer(key[0]))

    def layer(self, type_name: str) -> type[Layer]:
        """Return the layer class of a lower-case type; skips where it is not installed."""
        found = self.host().layers().get(type_name)
        if found is None:
            pytest.skip(f"no installed plugin provides the layer {type_name!r}")
        return found

    def computed_layer(self, type_name: str | None) -> type[Layer]:
        """Return the layer class of a lower-case type; skips where networks have nothing to compute for it."""
        if type_name is None:
            self.skip_without_kernels()
        layer = self.layer(type_name)
        if layer.view:
            pytest.skip(f"{layer.type} is a view: in a network, nothing is computed for it")
        return layer

    def candidates(self, type_name: str) -> list[Kernel]:
        """Return the backend's kernels for a lower-case layer type."""
        return [k for key, k in self.host().kernels().items() if key[:2] == (type_name, self.backend)]
