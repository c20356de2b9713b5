"""`cnnrt bench`: what is measured, and that it is measured as asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli_suite.command import answer, complaint, json_answer, run_cnnrt
from cli_suite.small_model import write_small_model
from cnnrt.cli import measurement
from netfile_spec import InputBlock


@pytest.fixture(autouse=True)
def _short_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measurement, "WARM_UP_SECONDS", 0.0)


def test_figures_fit_together(tmp_path: Path) -> None:
    (found,) = json_answer("bench", write_small_model(tmp_path), "--batch", "4", "--runs", "7")["results"]
    assert found["inputs"] == {"data": [4, 1, 8, 8]}
    assert found["runs"] == 7
    assert 0 < found["best_seconds"] <= found["median_seconds"]
    assert found["images_per_second"] == pytest.approx(4 / found["median_seconds"])
    assert found["flops_per_second"] == pytest.approx(found["flops"] / found["median_seconds"])
    assert found["process_peak_bytes"] > found["planned_peak_bytes"] > 0


def test_modes_are_compared_side_by_side(tmp_path: Path) -> None:
    text = answer("bench", write_small_model(tmp_path), "--runs", "3", "--mode", "sequential", "--mode", "parallel")
    assert next(line for line in text.splitlines() if line.startswith("execution_mode")).split() == [
        "execution_mode",
        "sequential",
        "parallel",
    ]


def test_layers_have_their_own_times(tmp_path: Path) -> None:
    (found,) = json_answer("bench", write_small_model(tmp_path), "--runs", "3", "--layers")["results"]
    assert [times["layer"] for times in found["layers"]] == ["conv", "pool", "score", "prob"]
    assert "conv + relu" in answer("bench", write_small_model(tmp_path / "again"), "--runs", "3", "--layers")


def test_energy_is_not_made_up(tmp_path: Path) -> None:
    assert "joules were not measured" in run_cnnrt("bench", write_small_model(tmp_path), "--runs", "1").stderr


def test_without_a_shape_it_says_what_to_add(tmp_path: Path) -> None:
    path = write_small_model(tmp_path, inputs=(InputBlock(name="data"),))
    assert "add --input 1,3,227,227" in complaint("bench", path)
    assert json_answer("bench", path, "--input", "2,1,8,8", "--runs", "1")["results"][0]["inputs"] == {
        "data": [2, 1, 8, 8]
    }


def test_the_stated_batch_wins(tmp_path: Path) -> None:
    arguments = ("--batch", "4", "--input", "2,1,8,8", "--runs", "1")
    assert json_answer("bench", write_small_model(tmp_path), *arguments)["results"][0]["inputs"] == {
        "data": [2, 1, 8, 8]
    }


def test_time_bounds_the_measurement(tmp_path: Path) -> None:
    (found,) = json_answer("bench", write_small_model(tmp_path), "--seconds", "0")["results"]
    assert found["runs"] == measurement.LEAST_RUNS


def test_random_inputs_are_the_same_every_time() -> None:
    first, second = (measurement.random_inputs({"data": (2, 3)})["data"] for _ in range(2))
    assert (first == second).all()
    assert first.dtype == "float32"
