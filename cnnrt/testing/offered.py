"""A plugin host with something more than what is installed: layers, backends, kernels made on the spot."""

from __future__ import annotations

import types
from collections.abc import Sequence
from importlib import metadata
from typing import Any

from cnnrt.backend import Backend, Kernel
from cnnrt.exporter import Exporter
from cnnrt.hookspecs import PLUGIN_API, hookimpl
from cnnrt.importer import Importer
from cnnrt.layer import Layer
from cnnrt.meter import Meter
from cnnrt.plugin_discovery import GROUP, HOOKS_OF_KIND
from cnnrt.plugins import PluginHost


class _EntryPoint(metadata.EntryPoint):
    """An entry point whose module is at hand; `EntryPoint` is immutable, hence the class attributes.

    It counts as cnnrt's own, so that a list of allowed plugins does not keep it out.
    """

    plugin: types.ModuleType
    dist = metadata.distribution("cnnrt")

    def load(self) -> types.ModuleType:
        return self.plugin


def extended(
    host: PluginHost,
    *,
    layers: Sequence[type[Layer]] = (),
    backends: Sequence[Backend] = (),
    kernels: Sequence[Kernel] = (),
    importers: Sequence[Importer] = (),
    exporters: Sequence[Exporter] = (),
    meters: Sequence[Meter] = (),
) -> PluginHost:
    """Return a host that provides what `host` does, and these."""
    return offered(
        layers=[*host.layers().values(), *layers],
        backends=[*host.backends().values(), *backends],
        kernels=[*host.kernels().values(), *kernels],
        importers=[*host.importers().values(), *importers],
        exporters=[*host.exporters().values(), *exporters],
        meters=[*host.meters().values(), *meters],
    )


def offered(**provided: Sequence[Any]) -> PluginHost:
    """Return a host of one plugin, which provides these `layers`, `backends`, `kernels`, `importers` and so on."""
    module = types.ModuleType("offered_on_the_spot")
    hooks = {f"cnnrt_{kind}": hookimpl(_giving(values)) for kind, values in provided.items()}
    vars(module).update(plugin_api=PLUGIN_API, **hooks)
    point = type("_Offered", (_EntryPoint,), {"plugin": module})
    return PluginHost(point(f"{kind}.{module.__name__}", module.__name__, GROUP) for kind in HOOKS_OF_KIND)


def _giving(values: Sequence[Any]) -> Any:
    def hook() -> list[Any]:
        return list(values)

    return hook
