"""The plugin door: finds plugins by their entry points, loads them by kind, and keeps their failures apart.

What ships with cnnrt comes in by this door too. Nothing is imported before its kind is asked for; a plugin
that fails is reported with its distribution and version, and the rest works on.
"""

from __future__ import annotations

import functools
import threading
import traceback
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from importlib import metadata
from typing import TYPE_CHECKING, Any

import attrs
import pluggy

from cnnrt import hookspecs
from cnnrt.after_fork import renew_after_fork
from cnnrt.caller_warning import warn_caller
from cnnrt.errors import PluginError, PluginWarning
from cnnrt.generated_sources import let_go_of_generated_sources
from cnnrt.plugin_discovery import HOOKS_OF_KIND, discover, installed_entry_points
from cnnrt.plugin_registry import PluginRecord, Registry

if TYPE_CHECKING:
    from cnnrt.backend import Backend, Kernel
    from cnnrt.exporter import Exporter
    from cnnrt.importer import Importer
    from cnnrt.layer import Layer
    from cnnrt.meter import Meter


class PluginHost:
    """Loads plugins on demand and answers what they provide. Safe to use from several threads."""

    def __init__(self, entry_points: Iterable[metadata.EntryPoint] | None = None) -> None:
        self._manager = pluggy.PluginManager(hookspecs.PROJECT)
        self._manager.add_hookspecs(hookspecs)
        self.after_fork()
        renew_after_fork(self)
        self._entry_points = entry_points
        self._loaded: set[str] = set()
        self._deferred: list[_DeferredKernels] = []
        self._called: set[tuple[int, str]] = set()
        self._found: Sequence[tuple[metadata.EntryPoint, PluginRecord]] | None = None
        self._layers: Registry[type[Layer]] = Registry()
        self._backends: Registry[Backend] = Registry()
        self._kernels: Registry[Kernel] = Registry()
        self._importers: Registry[Importer] = Registry()
        self._exporters: Registry[Exporter] = Registry()
        self._meters: Registry[Meter] = Registry()

    def after_fork(self) -> None:
        """Make the lock anew, in a forked child; called by `cnnrt.after_fork`."""
        self._lock = threading.RLock()

    def layers(self) -> Registry[type[Layer]]:
        """Return the layer classes by lower-case type."""
        self._load("layer")
        return self._layers

    def backends(self) -> Registry[Backend]:
        """Return the backends by name."""
        self._load("backend")
        return self._backends

    def kernels(self, backends: Iterable[str] | None = None) -> Registry[Kernel]:
        """Return the kernels of all plugins by (lower-case layer type, backend, kernel name).

        `backends`: those that are asked about; kernels for others may be missing, and their code not loaded.
        """
        self._load("layer")
        self._load("backend")
        self._load_deferred(backends)
        return self._kernels

    def importers(self) -> Registry[Importer]:
        """Return the importers by name."""
        self._load("importer")
        return self._importers

    def exporters(self) -> Registry[Exporter]:
        """Return the exporters by name."""
        self._load("exporter")
        return self._exporters

    def meters(self) -> Registry[Meter]:
        """Return the meters by name."""
        self._load("meter")
        return self._meters

    def records(self) -> tuple[PluginRecord, ...]:
        """Return what is known of every plugin, after loading all kinds; unknown kinds are listed with the reason."""
        for kind in HOOKS_OF_KIND:
            self._load(kind)
        self._load_deferred(None)
        return tuple(sorted((record for _, record in self._find()), key=lambda r: (r.kind, r.name, r.distribution)))

    def collisions(self) -> tuple[str, ...]:
        """Return a sentence for each name that two plugins claim."""
        registries = (self._layers, self._backends, self._kernels, self._importers, self._exporters, self._meters)
        return tuple(text for registry in registries for text in registry.collisions.values())

    def _find(self) -> Sequence[tuple[metadata.EntryPoint, PluginRecord]]:
        with self._lock:
            if self._found is None:
                points = installed_entry_points() if self._entry_points is None else self._entry_points
                self._found = discover(points)
            return self._found

    def _load(self, kind: str) -> None:
        with self._lock:
            if kind in self._loaded:
                return
            self._loaded.add(kind)
            failures = [
                self._attempt(point, record, partial(self._load_one, point, record))
                for point, record in self._find()
                if record.kind == kind and not record.problem
            ]
        _warn(failures)

    def _load_deferred(self, backends: Iterable[str] | None) -> None:
        """Call the hooks for kernels that were left for when one of their backends is asked about; None: now."""
        if not self._deferred:
            return
        with self._lock:
            asked = None if backends is None else set(backends)
            due = [d for d in self._deferred if asked is None or asked & d.backends]
            self._deferred = [d for d in self._deferred if d not in due]
            failures = [
                self._attempt(d.point, d.record, partial(self._add, d.record, d.plugin, ["cnnrt_kernels"])) for d in due
            ]
        _warn(failures)

    def _attempt(self, point: metadata.EntryPoint, record: PluginRecord, action: Callable[[], None]) -> str:
        """Return how an action on a plugin failed, which its record has then as well; empty: it did not."""
        try:
            action()
        except (Exception, SystemExit) as error:
            record.problem = str(error) if isinstance(error, PluginError) else f"{type(error).__name__}: {error}"
            record.traceback = traceback.format_exc()
            return f"plugin {point.name!r} of {record.origin} was left out: {record.problem}"
        return ""

    def _load_one(self, point: metadata.EntryPoint, record: PluginRecord) -> None:
        plugin = point.load()
        let_go_of_generated_sources()
        record.path = str(getattr(plugin, "__file__", "") or "")
        api = getattr(plugin, "plugin_api", None)
        if api not in range(hookspecs.OLDEST_PLUGIN_API, hookspecs.PLUGIN_API + 1):
            stated = "states no plugin_api" if api is None else f"is written for plugin_api {api!r}"
            oldest, newest = hookspecs.OLDEST_PLUGIN_API, hookspecs.PLUGIN_API
            known = str(newest) if oldest == newest else f"{oldest} to {newest}"
            raise PluginError(f"it {stated}; this cnnrt has plugin_api {known}: update one of the two")
        self._register(plugin, f"{point.name} ({record.distribution})")
        hooks = HOOKS_OF_KIND[record.kind]
        backends = getattr(plugin, "kernels_for", None)
        if backends is not None and "cnnrt_kernels" in hooks:
            self._deferred.append(_DeferredKernels(point, record, plugin, _names_of_backends(backends)))
            hooks = tuple(hook for hook in hooks if hook != "cnnrt_kernels")
        self._add(record, plugin, hooks)

    def _add(self, record: PluginRecord, plugin: object, hooks: Sequence[str]) -> None:
        """Call hooks on a plugin and add what they return."""
        provided = [self._described(hook, value) for hook in hooks for value in self._call(hook, plugin)]
        for registry, key, value, what, shown in provided:  # all that a plugin has, or nothing
            registry.add(key, value, record.origin, what)
            record.provides.append(shown)

    def _register(self, plugin: object, name: str) -> None:
        """Register a plugin once, though entry points of several kinds may name it; a bad one leaves no trace."""
        if self._manager.is_registered(plugin):
            return
        try:
            self._manager.register(plugin, name=name)
            self._manager.check_pending()
        except pluggy.PluginValidationError:
            if self._manager.is_registered(plugin):
                self._manager.unregister(plugin)
            raise

    def _call(self, hook: str, plugin: object) -> list[Any]:
        """Call one hook on one plugin (once), so that a failure is that plugin's alone."""
        if (id(plugin), hook) in self._called:
            return []
        self._called.add((id(plugin), hook))
        others = [p for p in self._manager.get_plugins() if p is not plugin]
        results = self._manager.subset_hook_caller(hook, remove_plugins=others)()
        return [value for result in results for value in result]

    def _described(self, hook: str, value: Any) -> tuple[Registry[Any], Any, Any, str, str]:
        """Return where a thing belongs, its key there, the thing, and its name in messages and in listings.

        Raises PluginError where it is not what the hook should return.
        """
        if hook == "cnnrt_layers":
            from cnnrt.layer import Layer
            from cnnrt.vocabulary import layer_spec

            if not (isinstance(value, type) and issubclass(value, Layer)):
                raise PluginError(f"{hook} returned {value!r}; expected subclasses of cnnrt.layer.Layer")
            layer_spec(value)  # a class that no NetFile can use would break the reading of every NetFile
            return self._layers, value.type.lower(), value, f"layer type {value.type!r}", value.type
        if hook == "cnnrt_kernels":
            from cnnrt.backend import Kernel

            _expect(hook, value, Kernel)
            what = f"kernel {value.name!r} for {value.layer} on backend {value.backend!r}"
            key = (value.layer.lower(), value.backend, value.name)
            return self._kernels, key, value, what, f"{value.layer}/{value.name}"
        if hook == "cnnrt_backends":
            from cnnrt.backend import Backend

            _expect(hook, value, Backend)
            return self._backends, value.name, value, f"backend {value.name!r}", value.name
        if hook == "cnnrt_exporters":
            from cnnrt.exporter import Exporter

            _expect(hook, value, Exporter)
            return self._exporters, value.name, value, f"exporter {value.name!r}", value.name
        if hook == "cnnrt_meters":
            from cnnrt.meter import Meter

            _expect(hook, value, Meter)
            return self._meters, value.name, value, f"meter {value.name!r}", value.name
        from cnnrt.importer import Importer

        _expect(hook, value, Importer)
        return self._importers, value.name, value, f"importer {value.name!r}", value.name


@attrs.frozen(eq=False)
class _DeferredKernels:
    """A plugin whose kernels are for these backends alone: it is asked for them when one of these is used."""

    point: metadata.EntryPoint
    record: PluginRecord
    plugin: object
    backends: frozenset[str]


def _names_of_backends(stated: object) -> frozenset[str]:
    if isinstance(stated, str) or not isinstance(stated, Iterable) or not all(isinstance(s, str) for s in stated):
        raise PluginError(f'kernels_for is {stated!r}; expected names of backends, as in ("sequential",)')
    return frozenset(stated)


def _warn(failures: Iterable[str]) -> None:
    """Warn of each failure; only when all plugins are loaded, since a warning may have been made an error."""
    for message in failures:
        if message:
            warn_caller(message, PluginWarning)


def _expect(hook: str, value: object, base: type[object]) -> None:
    if not isinstance(value, base):
        raise PluginError(f"{hook} returned {value!r}; expected instances of {base.__module__}.{base.__name__}")


@functools.cache
def plugin_host() -> PluginHost:
    """Return the process's plugin host, which sees what is installed."""
    return PluginHost()
