"""CNNRT_PLUGINS_ALLOW and CNNRT_PLUGINS_BLOCK: which plugins the user lets in."""

from __future__ import annotations

import pytest

from cnnrt.plugin_policy import refusal
from core_suite.plugins_in_memory import built_in, entry_point, host_of, plugin


@pytest.fixture(autouse=True)
def no_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CNNRT_PLUGINS_ALLOW", raising=False)
    monkeypatch.delenv("CNNRT_PLUGINS_BLOCK", raising=False)


def test_without_a_policy_everything_is_let_in() -> None:
    assert refusal("layer.swish", "cnnrt-swish") == ""


@pytest.mark.parametrize("listed", ["cnnrt-swish", "Cnnrt_Swish", "layer.swish", "other, cnnrt-swish ,"])
def test_a_blocked_plugin_is_refused_by_distribution_or_entry_point(
    monkeypatch: pytest.MonkeyPatch, listed: str
) -> None:
    monkeypatch.setenv("CNNRT_PLUGINS_BLOCK", listed)
    assert refusal("layer.swish", "cnnrt.swish") == "blocked by CNNRT_PLUGINS_BLOCK"
    assert refusal("layer.mish", "cnnrt-mish") == ""


def test_an_allow_list_lets_in_what_it_names_and_cnnrts_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CNNRT_PLUGINS_ALLOW", "cnnrt-swish")
    assert refusal("layer.swish", "cnnrt-swish") == ""
    assert refusal("backend.sequential", "cnnrt") == ""
    assert refusal("layer.mish", "cnnrt-mish") == "not in CNNRT_PLUGINS_ALLOW"


def test_an_empty_allow_list_lets_in_only_cnnrts_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CNNRT_PLUGINS_ALLOW", "")
    assert refusal("layer.mish", "cnnrt-mish") == "not in CNNRT_PLUGINS_ALLOW"
    assert refusal("layer.cnnrt", "cnnrt") == ""


def test_blocking_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CNNRT_PLUGINS_ALLOW", "cnnrt-swish")
    monkeypatch.setenv("CNNRT_PLUGINS_BLOCK", "layer.swish")
    assert "BLOCK" in refusal("layer.swish", "cnnrt-swish")


def test_a_refused_plugin_is_never_imported_and_listed_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CNNRT_PLUGINS_BLOCK", "stranger")
    point = entry_point("layer.odd", plugin(cnnrt_layers=list))
    host = host_of(*built_in("layer"), point)
    assert "convolution" in host.layers()
    assert [r.problem for r in host.records() if r.name == "odd"] == ["blocked by CNNRT_PLUGINS_BLOCK"]
    assert point.loads == 0
