"""`cnnrt compare`: every layer's output in two modes, and the first that differs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from cli_suite.command import answer, complaint, json_answer, run_cnnrt
from cli_suite.small_model import write_small_model
from cnnrt.backend import HostFunction
from cnnrt.layer_call import LayerCall
from cnnrt.plugins import plugin_host
from cnnrt.testing.offered import extended
from core_suite.toy_backend import ToyBackend, ToyKernel


class Wrong(ToyKernel):
    """Adds 1 to the first of its results."""

    def bind(self, call: LayerCall) -> HostFunction:
        right = super().bind(call)

        def run(inputs: Sequence[Any], outputs: Sequence[Any], weights: Any, workspace: Any) -> None:
            right(inputs, outputs, weights, workspace)
            outputs[0].flat[0] += 1

        return run


@pytest.fixture
def with_a_wrong_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    """Install one whose FullyConnected is wrong, and whose Pooling is right."""
    host = extended(plugin_host(), backends=[ToyBackend()], kernels=[Wrong("FullyConnected"), ToyKernel("Pooling")])
    monkeypatch.setattr("cnnrt.net.plugin_host", lambda: host)


def test_a_mode_agrees_with_itself_on_every_value(tmp_path: Path) -> None:
    text = answer("compare", write_small_model(tmp_path), "--modes", "sequential,sequential")
    rows = [line.split() for line in text.splitlines()[2:-1]]
    assert [row[0] for row in rows] == ["relu", "pool", "score", "prob"], "conv is folded away in both"
    assert all(row[2].startswith("sequential/") and row[-1] == "agrees" for row in rows)
    assert text.splitlines()[-1] == "all of them agree"


@pytest.mark.usefixtures("with_a_wrong_backend")
def test_the_first_value_that_differs_is_named(tmp_path: Path) -> None:
    result = run_cnnrt("compare", write_small_model(tmp_path), "--modes", "sequential,toy")
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1] == "the first difference is at 'score': score"
    rows = {line.split()[0]: line.split() for line in result.stdout.splitlines()[2:-1]}
    assert rows["pool"][2:4] == ["sequential/slide", "toy/toy"]
    assert [rows[value][-1] for value in ("relu", "pool", "score", "prob")] == [
        "agrees",
        "agrees",
        "differs",
        "differs",
    ]


@pytest.mark.usefixtures("with_a_wrong_backend")
def test_a_larger_tolerance_lets_it_pass(tmp_path: Path) -> None:
    told = json_answer("compare", write_small_model(tmp_path), "--modes", "sequential,toy", "--tolerance", "10")
    assert told["agrees"] is True
    assert told["modes"] == ["sequential", "toy"]
    (score,) = (value for value in told["values"] if value["name"] == "score")
    assert score["kernels"] == ["sequential/product", "toy/toy"]
    assert score["difference"] == pytest.approx(1, abs=1e-5)


def test_the_batch_may_be_stated(tmp_path: Path) -> None:
    text = answer("compare", write_small_model(tmp_path), "--modes", "sequential,parallel", "--batch", "3")
    assert "3×2×6×6" in text


def test_modes_are_two(tmp_path: Path) -> None:
    text = complaint("compare", write_small_model(tmp_path), "--modes", "sequential", code=2)
    assert "expected two modes, as in sequential,threaded" in text
