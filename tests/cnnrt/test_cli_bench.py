"""`cnnrt bench`: what is measured, and that it is measured as asked."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cli_suite.command import answer, complaint, json_answer, run_cnnrt
from cli_suite.small_model import write_small_model
from cnnrt.cli import measurement
from cnnrt.meter import EnergyCounter, Meter
from core_suite.plugins_in_memory import built_in, entry_point, host_of, plugin
from netfile_spec import InputBlock


@pytest.fixture(autouse=True)
def _short_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measurement, "WARM_UP_SECONDS", 0.0)


class Steady(Meter):
    """A machine that always takes the same power; windows are so short that the tests are quick."""

    window_seconds = read_seconds = 1e-3

    def __init__(self, name: str, watts: float = 1.0, problem: str = "") -> None:
        self.name = name  # type: ignore[misc]  # several of one class, for once
        self.watts = watts
        self._problem = problem

    def problem(self) -> str:
        return self._problem

    def open(self) -> EnergyCounter:
        meter, opened = self, time.perf_counter()

        class Counter:
            def joules(self) -> float:
                return meter.watts * (time.perf_counter() - opened)

        return Counter()


Offer = Callable[..., None]
BRIEF = ("--runs", "1", "--seconds", "0")
"""One run to be timed, and as few windows of energy as there must be."""


@pytest.fixture
def with_meters(monkeypatch: pytest.MonkeyPatch) -> Offer:
    """Lets the process's plugin host have these meters and no others."""

    def offer(*meters: Meter) -> None:
        host = host_of(
            *built_in("layer", "backend"), entry_point("meter.test", plugin(cnnrt_meters=lambda: list(meters)))
        )
        monkeypatch.setattr("cnnrt.plugins.plugin_host", lambda: host)

    return offer


def test_figures_fit_together(tmp_path: Path) -> None:
    (found,) = json_answer("bench", write_small_model(tmp_path), "--batch", "4", "--runs", "7")["results"]
    assert found["inputs"] == {"data": [4, 1, 8, 8]}
    assert found["runs"] == 7
    low, high = found["quartile_seconds"]
    assert 0 < found["best_seconds"] <= low <= found["median_seconds"] <= high
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
    (ratio,) = (line.split() for line in text.splitlines() if line.startswith("times as fast"))
    assert ratio[3] == "1"
    assert float(ratio[4]) > 0


def test_layers_have_their_own_times(tmp_path: Path) -> None:
    (found,) = json_answer("bench", write_small_model(tmp_path), "--runs", "3", "--layers")["results"]
    assert [times["layer"] for times in found["layers"]] == ["conv", "pool", "score", "prob"]
    assert sum(times["share"] for times in found["layers"]) == pytest.approx(1)
    assert sum(times["flops"] for times in found["layers"]) == found["flops"]
    assert {times["backend"] for times in found["layers"]} == {"sequential"}
    text = answer("bench", write_small_model(tmp_path / "again"), "--runs", "3", "--layers")
    assert "conv + relu" in text
    assert text.splitlines()[-1].startswith("all layers")


def test_energy_is_shown_with_its_spread_and_the_idle_share_subtracted(tmp_path: Path, with_meters: Offer) -> None:
    with_meters(Steady("steady", watts=3.0))
    (found,) = json_answer("bench", write_small_model(tmp_path), "--batch", "4", *BRIEF)["results"]
    (use,) = found["energy"]
    assert use["meter"] == "steady"
    assert use["idle_watts"] == pytest.approx(3.0, rel=0.2)
    assert use["watts_above_idle"] == pytest.approx(use["joules"] / use["seconds"] - use["idle_watts"])
    assert use["joules_per_image"] == pytest.approx(use["watts_above_idle"] * use["seconds"] / use["images"])
    assert use["images"] % 4 == 0 < use["images"]
    text = answer("bench", write_small_model(tmp_path / "again"), *BRIEF)
    (idle,) = (line for line in text.splitlines() if line.startswith("steady: mW idle"))
    assert float(idle.split()[3]) == pytest.approx(3000, rel=0.2)
    assert idle.split()[4] == "±"
    assert "steady: J/image" in text


def test_what_counter_is_missing_is_said_with_the_reason(tmp_path: Path, with_meters: Offer) -> None:
    with_meters(Steady("solar", problem="no sun"), Steady("dynamo", problem="nobody pedals"))
    result = run_cnnrt("bench", write_small_model(tmp_path), *BRIEF)
    assert "note: joules were not measured by solar: no sun\n" in result.stderr
    assert "note: joules were not measured by dynamo: nobody pedals\n" in result.stderr
    assert "J/image" not in result.stdout
    found = json_answer("bench", write_small_model(tmp_path / "again"), *BRIEF)
    assert found["meters_left_out"] == {"solar": "no sun", "dynamo": "nobody pedals"}
    assert found["results"][0]["energy"] == []


def test_a_missing_counter_beside_one_that_works_is_no_news(tmp_path: Path, with_meters: Offer) -> None:
    with_meters(Steady("steady"), Steady("solar", problem="no sun"))
    result = run_cnnrt("bench", write_small_model(tmp_path), *BRIEF)
    assert "joules" not in result.stderr
    assert "steady: J/image" in result.stdout


def test_without_any_meter_it_says_so(tmp_path: Path, with_meters: Offer) -> None:
    with_meters()
    result = run_cnnrt("bench", write_small_model(tmp_path), *BRIEF)
    assert "joules were not measured: no plugin that reads an energy counter is installed" in result.stderr


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
