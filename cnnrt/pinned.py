"""Choices that a saved plan pins: which kernel, with which parameters, computes which layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import attrs

from cnnrt.backend import Tuning
from cnnrt.candidates import Candidate
from cnnrt.errors import InputError
from cnnrt.layer_call import LayerCall


@attrs.frozen
class Pin:
    """A kernel by name, on a device by name, with its parameters fixed."""

    backend: str
    device: str
    kernel: str
    tuning: Tuning

    @property
    def title(self) -> str:
        """As messages show it."""
        return " ".join((f"{self.backend}/{self.kernel}", *(f"{name}={value}" for name, value in self.tuning.items())))

    def find(self, call: LayerCall, candidates: Sequence[Candidate]) -> Candidate | None:
        """Return the candidate that is meant, None where it is not among them."""
        from cnnrt.tuning.knowledge import is_variant

        for c in candidates:
            if (c.device.backend, c.device.name, c.kernel.name) == (self.backend, self.device, self.kernel):
                if not self.tuning:
                    return c
                if is_variant(self.tuning, c.kernel, call, c.device):
                    return attrs.evolve(c, kernel=c.kernel.tuned(self.tuning))
        return None


NO_PINS: Mapping[str, Pin] = MappingProxyType({})


def pins_from(plan: Any) -> Mapping[str, Pin]:
    """Return what a saved plan (a Plan, or what its `to_dict` gave) pins, by layer.

    Views, reorders and layers that ran by their reference pin nothing. Raises InputError for anything else.
    """
    saved = plan.to_dict() if hasattr(plan, "to_dict") else plan
    rows = saved.get("rows") if isinstance(saved, Mapping) else None
    if not isinstance(rows, list | tuple):
        raise InputError("plan: expected a Plan, or the plain values that Plan.to_dict gives")
    pins = {}
    for row in rows:
        stated = row if isinstance(row, Mapping) else {}
        texts = [stated.get(name) for name in ("layer", "backend", "device", "kernel")]
        layer, backend, device, kernel = (text if isinstance(text, str) else "" for text in texts)
        tuning = stated.get("tuning")
        if "" in (layer, backend, device, kernel) or not isinstance(tuning, Mapping):
            raise InputError(f"plan: expected rows with layer, backend, device, kernel and tuning, got {row!r:.200}")
        if backend != "core" and stated.get("type") != "Reorder":
            pins[layer] = Pin(backend, device, kernel, dict(tuning))
    return pins
