"""What `cnnrt plugins verify NAME` is about: the layers, backends, importers, meters, kernels behind a name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import attrs

from cnnrt.errors import PluginError
from cnnrt.graph import nearest
from cnnrt.plugin_registry import PluginRecord, Registry
from cnnrt.plugins import PluginHost
from cnnrt.testing.backend_kernel_checks import BackendKernelChecks
from cnnrt.testing.backend_suite import BackendSuite
from cnnrt.testing.exporter_suite import ExporterSuite
from cnnrt.testing.kernel_checks import KernelKey
from cnnrt.testing.meter_suite import MeterSuite
from cnnrt.testing.suite_of import importer_suite, layer_suite

KINDS = ("layer", "backend", "importer", "exporter", "meter")


@attrs.frozen
class Subject:
    """Something that can be graded.

    `kind`: "layer", "backend", "importer", "exporter", "meter", or "kernels": those for layers and backends of others.
    `suite`: the class of tests; None where `problem` says why there is nothing to test.
    """

    kind: str
    name: str
    origin: str
    suite: type[Any] | None = None
    problem: str = ""


def find_subjects(host: PluginHost, name: str, kind: str | None = None) -> list[Subject]:
    """Return what `name` stands for, in any case: a layer type, a backend, an importer, a meter, a
    plugin, or a distribution.

    `kind` (one of KINDS) leaves out the others. A plugin that failed to load and a name that two
    plugins claim are subjects with a problem. Raises PluginError where nobody provides such a thing.
    """
    records = [r for r in host.records() if kind is None or r.kind == kind]
    found = list(_named_things(host, name, kind))
    if not found:
        for record in records:
            if name.lower() in _names(record) or _normal(name) == _normal(record.distribution):
                found += _provided(host, record)
    if not found:
        what = "layer type, backend, importer, exporter, meter, plugin or distribution" if kind is None else kind
        raise PluginError(f"no installed {what} is named {name!r}; {nearest(name, _known(host, records, kind))}")
    return list({(subject.kind, subject.name): subject for subject in found}.values())


def _named_things(host: PluginHost, name: str, kind: str | None) -> Iterator[Subject]:
    for each, registry in _registries(host).items():
        if kind not in (None, each):
            continue
        for key in {*registry, *registry.collisions}:
            if str(key).lower() == name.lower():
                yield _subject(host, each, key)


def _provided(host: PluginHost, record: PluginRecord) -> list[Subject]:
    """Return everything that one plugin provides, or its problem."""
    if record.problem:
        return [Subject(record.kind, record.name, record.origin, problem=f"it was left out: {record.problem}")]
    registry = _registries(host)[record.kind]
    own = [key for key, origin in registry.origins.items() if origin == record.origin]
    things = [_subject(host, record.kind, key) for key in own if _shown(registry, key) in record.provides]
    return things + _kernels_for_others(host, record, things)


def _kernels_for_others(host: PluginHost, record: PluginRecord, things: Sequence[Subject]) -> list[Subject]:
    """Return the plugin's kernels that the suites of its own layers and backends leave out."""
    mine = {(thing.kind, thing.name.lower()) for thing in things}
    kernels = host.kernels()
    keys = [
        key
        for key, kernel in kernels.items()
        if kernels.origins[key] == record.origin
        and f"{kernel.layer}/{kernel.name}" in record.provides
        and ("layer", key[0]) not in mine
        and ("backend", key[1].lower()) not in mine
    ]
    by_backend: dict[str, list[KernelKey]] = {}
    for key in keys:
        by_backend.setdefault(key[1], []).append(key)
    return [
        Subject("kernels", f"{record.name} on {backend}", record.origin, _kernel_suite(host, backend, chosen))
        for backend, chosen in by_backend.items()
    ]


def _subject(host: PluginHost, kind: str, key: str) -> Subject:
    registry = _registries(host)[kind]
    if key in registry.collisions:
        return Subject(kind, key, "", problem=registry.collisions[key])
    thing, origin = registry[key], registry.origins[key]
    try:
        suite = _suite(kind, thing)
    except PluginError as error:
        return Subject(kind, _shown(registry, key), origin, problem=str(error))
    return Subject(kind, _shown(registry, key), origin, _on(host, suite))


def _suite(kind: str, thing: Any) -> type[Any]:
    if kind == "layer":
        return layer_suite(thing)
    if kind == "importer":
        return importer_suite(thing)
    if kind == "exporter":
        return type("InstalledExporterSuite", (ExporterSuite,), {"exporter": thing})
    if kind == "meter":
        return type("InstalledMeterSuite", (MeterSuite,), {"meter": thing})
    return type("InstalledBackendSuite", (BackendSuite,), {"backend": thing.name})


def _kernel_suite(host: PluginHost, backend: str, keys: Sequence[KernelKey]) -> type[Any]:
    members = {"backend": backend, "kernel_keys": classmethod(lambda cls: sorted(keys))}
    return _on(host, type("KernelSuite", (BackendKernelChecks,), members))


def _on(host: PluginHost, suite: type[Any]) -> type[Any]:
    """Return the suite, to be run on this host."""
    return type(suite.__name__, (suite,), {"host": classmethod(lambda cls: host)})


def _registries(host: PluginHost) -> dict[str, Registry[Any]]:
    return {
        "layer": host.layers(),
        "backend": host.backends(),
        "importer": host.importers(),
        "exporter": host.exporters(),
        "meter": host.meters(),
    }


def _shown(registry: Registry[Any], key: str) -> str:
    """Return a thing's name as it is written: keys of layers are in lower case."""
    return str(getattr(registry.get(key), "type", key))


def _known(host: PluginHost, records: Sequence[PluginRecord], kind: str | None) -> list[str]:
    things = [_shown(r, key) for each, r in _registries(host).items() if kind in (None, each) for key in r]
    return list(dict.fromkeys([*things, *(r.distribution for r in records)]))


def _names(record: PluginRecord) -> tuple[str, str]:
    return record.name.lower(), f"{record.kind}.{record.name}".lower()


def _normal(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()
