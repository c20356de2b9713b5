"""Which plugins there are: entry points of installed distributions, before any of them is imported."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import metadata

from cnnrt.plugin_policy import refusal
from cnnrt.plugin_registry import PluginRecord

GROUP = "cnnrt.plugins"
UNKNOWN = "(unknown distribution)"
HOOKS_OF_KIND = {
    "layer": ("cnnrt_layers", "cnnrt_kernels"),
    "backend": ("cnnrt_backends", "cnnrt_kernels"),
    "importer": ("cnnrt_importers",),
    "exporter": ("cnnrt_exporters",),
    "meter": ("cnnrt_meters",),
}
"""Kinds of entry points, and the hooks that are called on a plugin of that kind."""


def installed_entry_points() -> Iterable[metadata.EntryPoint]:
    """Return the entry points of cnnrt's group that installed distributions state."""
    return metadata.entry_points(group=GROUP)


def discover(entry_points: Iterable[metadata.EntryPoint]) -> list[tuple[metadata.EntryPoint, PluginRecord]]:
    """Return each entry point with what is known of it; a record with a problem is not to be loaded.

    The same one seen twice (an editable install leaves two metadata folders) counts once.
    """
    found: dict[tuple[str, str, str], tuple[metadata.EntryPoint, PluginRecord]] = {}
    names: dict[int, tuple[str, str]] = {}  # each is read from a file, with all that it says
    for point in sorted(entry_points, key=lambda p: (p.name, p.value)):
        if id(point.dist) not in names:
            names[id(point.dist)] = (point.dist.name, point.dist.version) if point.dist else (UNKNOWN, "")
        distribution, version = names[id(point.dist)]
        kind, _, short = point.name.partition(".")
        record = PluginRecord(short or point.name, kind, point.value, distribution, version)
        if kind not in HOOKS_OF_KIND or not short:
            kinds = ", ".join(f"{k}.NAME" for k in HOOKS_OF_KIND)
            record.problem = f"entry point {point.name!r} is not of a known kind: expected {kinds}"
        else:
            record.problem = refusal(point.name, distribution)
        found.setdefault((point.name, point.value, distribution), (point, record))
    return list(found.values())
