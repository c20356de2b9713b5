"""Plugins made on the spot, offered to a plugin host through entry points as installed ones are."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import attrs

from cnnrt.backend import Backend, Kernel
from cnnrt.hookspecs import hookimpl
from cnnrt.plugin_discovery import installed_entry_points
from cnnrt.plugins import PluginHost


@attrs.frozen
class Distribution:
    name: str
    version: str = "1.0"


@attrs.define
class EntryPoint:
    """Stands for `importlib.metadata.EntryPoint`; `loads` counts how often its module was asked for."""

    name: str
    load_plugin: Callable[[], Any]
    dist: Distribution | None = attrs.field(factory=lambda: Distribution("stranger"))
    value: str = "stranger_module"
    loads: int = 0

    def load(self) -> Any:
        self.loads += 1
        return self.load_plugin()


def plugin(api: Any = 1, **hooks: Callable[..., Any]) -> types.ModuleType:
    """Return a plugin module with these hooks; `api=None` leaves `plugin_api` out."""
    module = types.ModuleType("stranger_module")
    if api is not None:
        module.plugin_api = api  # type: ignore[attr-defined]  # a module made by hand
    for name, function in hooks.items():
        setattr(module, name, hookimpl(_markable(function)))
    return module


def _markable(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that can be marked as a hook, which `list` and its like cannot."""
    return function if isinstance(function, types.FunctionType) else lambda: function()


def entry_point(name: str, module: Any, distribution: str = "stranger", version: str = "1.0") -> EntryPoint:
    """Return an entry point that loads `module`, or calls it where it is a function."""
    load = module if isinstance(module, types.FunctionType) else lambda: module
    return EntryPoint(name, load, Distribution(distribution, version), value=f"{distribution}_module")


def host_of(*points: Any) -> PluginHost:
    """Return a plugin host that sees these entry points and nothing else."""
    return PluginHost(list(points))


def built_in(*kinds: str) -> list[Any]:
    """Return the entry points of these kinds ("layer", "backend", "importer") that ship with cnnrt."""
    return [
        p
        for p in installed_entry_points()
        if p.dist is not None and p.dist.name == "cnnrt" and p.name.partition(".")[0] in kinds
    ]


def host_with_backends(
    backends: Iterable[Backend], kernels: Sequence[Kernel], *, sequential: bool = False
) -> PluginHost:
    """Return a host of the built-in layers, these backends and kernels, and the sequential backend if asked for."""
    found = list(backends)
    module = plugin(cnnrt_backends=lambda: found, cnnrt_kernels=lambda: kernels)
    kinds = ("layer", "backend") if sequential else ("layer",)
    return host_of(*built_in(*kinds), entry_point("backend.toy", module, "toy"))
