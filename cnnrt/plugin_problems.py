"""What of a plugin that was loaded cannot be used here, and why: a package that is missing, a device, a counter."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from cnnrt.backend import Backend
from cnnrt.plugin_registry import PluginRecord
from cnnrt.plugins import PluginHost


def unusable(host: PluginHost, record: PluginRecord) -> Mapping[str, str]:
    """Return, by name, why a plugin's backends, importers, exporters and meters cannot be used; empty: all can.

    A backend cannot where all its devices have a problem. Layers need nothing. Looking for devices may load drivers.
    """
    asked: dict[str, Callable[[], str]] = {}
    for name in record.provides:
        if record.kind == "backend" and name in host.backends():
            asked[name] = partial(_no_device, host.backends()[name])
        elif record.kind == "importer" and name in host.importers():
            asked[name] = host.importers()[name].problem
        elif record.kind == "exporter" and name in host.exporters():
            asked[name] = host.exporters()[name].problem
        elif record.kind == "meter" and name in host.meters():
            asked[name] = host.meters()[name].problem
    reasons = {name: _answer(question) for name, question in asked.items()}
    return {name: reason for name, reason in reasons.items() if reason}


def _no_device(backend: Backend) -> str:
    devices = backend.devices()
    if any(not device.problem for device in devices):
        return ""
    return "; ".join(dict.fromkeys(device.problem for device in devices)) or "it sees no device"


def _answer(question: Callable[[], str]) -> str:
    """Return a plugin's answer; one that fails to answer is shown with its failure."""
    try:
        return question()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
