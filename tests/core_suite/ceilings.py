"""Weights that do not stay in memory, for tests of small networks, for which reading them would save nothing."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from cnnrt.residency import Demand, Residency, Rule


def stream_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on no weights stay: those of networks that are prepared from here are all read for each call."""

    def none_stays(
        demands: Sequence[Demand],
        room: int | None,
        calls: int = 1,
        rule: Rule = "fastest",
        passing: int | None = None,
    ) -> Residency:
        piece = max((d.least for d in demands if d.nbytes), default=0)
        return Residency(frozenset(d.key for d in demands if not d.nbytes), piece=piece, ring=2 * piece)

    monkeypatch.setattr("cnnrt.memory_plan.choose_residency", none_stays)
    monkeypatch.setattr("cnnrt.device_memory.choose_residency", none_stays)
