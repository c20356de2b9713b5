"""Tuning a whole network: within its settings, and what came of it, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from cnnrt.backend import Tuning
from cnnrt.cache_folder import cache_folder
from cnnrt.memory_plan import MIB
from cnnrt.placement import Competition
from cnnrt.plugins import PluginHost
from cnnrt.settings import Settings
from cnnrt.tuning.knowledge import Knowledge
from cnnrt.tuning.record import Record
from cnnrt.tuning.tasks import open_tasks, worth_trying
from cnnrt.tuning.tuner import Limits, Progress, tune

UNMEASURED = "not measured: the time or the memory allowed was used up"


@attrs.frozen
class Tuned:
    """What is known of a layer: its measurement, or None with the reason."""

    layer: str
    type: str
    record: Record | None
    why: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, ready for JSON."""
        record = self.record.to_json() if self.record else None
        return {"layer": self.layer, "type": self.type, "measured": record, "why": self.why}


def tune_network(
    rivals: Sequence[Competition],
    host: PluginHost,
    known: Knowledge,
    settings: Settings,
    held_bytes: int,
    budget: float | None = None,
    progress: Progress | None = None,
) -> str:
    """Measure what is not known yet, and return a sentence for the receipt; see `cnnrt.tuning.tuner.tune`.

    `held_bytes` are in use already, and count under a ceiling.
    """
    room = None if settings.allocated_ram is None else int(settings.allocated_ram * MIB) - held_bytes
    seconds = settings.tuning_budget if budget is None else budget
    note = tune(rivals, host, known, Limits(seconds, room, settings.strict), cache_folder("tuning"), progress)
    if note or any(known.record(rival.call, rival.candidates.able) for rival in rivals if rival.candidates.able):
        return note
    return "auto_tuning is on, but no kernel in use has anything to tune"


def tuning_left(rivals: Sequence[Competition], known: Knowledge) -> str:
    """Return a sentence where something is not measured yet (empty: nothing)."""
    tasks = open_tasks(rivals, known)
    unmeasured = sum(task.record is None for task in tasks)
    if unmeasured:
        return f"{unmeasured} layers run on the cost model's choice: they were not measured"
    return f"{len(tasks)} layers were not measured with all kernels" if tasks else ""


def tuned_layers(rivals: Sequence[Competition], known: Knowledge) -> list[Tuned]:
    """Return what is known of each layer that is computed."""
    return [_tuned(rival, known) for rival in rivals if not rival.view]


def title(kernel: str, tuning: Tuning) -> str:
    """Return a kernel with its parameters, as tables show it."""
    return " ".join((kernel, *(f"{name}={value}" for name, value in tuning.items())))


def _tuned(rival: Competition, known: Knowledge) -> Tuned:
    able = rival.candidates.able
    name, kind = rival.node.name, rival.node.layer.type
    if not able:
        return Tuned(name, kind, None, "no kernel: it runs by its reference")
    record = known.record(rival.call, able)
    if record is not None:
        return Tuned(name, kind, record)
    if len(worth_trying(rival.call, able)) < 2:
        return Tuned(name, kind, None, "no other kernel comes near the default")
    return Tuned(name, kind, None, UNMEASURED)
