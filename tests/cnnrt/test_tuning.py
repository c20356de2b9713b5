"""Tuning: what is measured, what wins, what is remembered, and what it may take."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnnrt import Net
from cnnrt.backend import Device, Kernel
from cnnrt.cache_folder import cache_folder
from cnnrt.errors import InputError, KernelWarning, PlacementError
from cnnrt.passes import split_batch
from cnnrt.plan import PlanRow
from cnnrt.tuning import store as module
from cnnrt.tuning.key import batch_bucket
from cnnrt.tuning.measurement import Timing, standard_error, time_in_turns, winner_of
from cnnrt.tuning.network import Tuned
from cnnrt.tuning.record import record_from
from cnnrt.tuning.store import default_store
from cnnrt.tuning.turn import turn
from core_suite.plugins_in_memory import host_with_backends
from core_suite.small_networks import images, write_chain
from core_suite.toy_backend import ToyBackend, ToyKernel
from core_suite.tunable_kernels import CompiledKernel, SleepyKernel, SlowlyMadeKernel

QUICK, SLOW = 2e-4, 6e-3


@pytest.fixture(autouse=True)
def fresh_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CNNRT_CACHE", str(tmp_path / "cache"))


def net_with(folder: Path, kernels: Sequence[Kernel], backends: Sequence[ToyBackend] = (), **options: Any) -> Net:
    others = [ToyKernel(kind) for kind in ("Pooling", "FullyConnected", "Softmax")]
    host = host_with_backends(backends or [ToyBackend()], [*kernels, *others])
    return Net(write_chain(folder / "net"), plugins=host, **{"auto_tuning": True, **options})


def rivals() -> tuple[SleepyKernel, SleepyKernel]:
    """A kernel that promises much and one that keeps more."""
    return (
        SleepyKernel("Convolution", name="promising", seconds=1e-3, lasts=SLOW),
        SleepyKernel("Convolution", name="modest", seconds=2e-3, lasts=QUICK),
    )


def conv(net: Net) -> PlanRow:
    return next(row for row in net.plan.rows if row.layer == "conv")


def forget_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cnnrt.tuning.store._stores", {})


def test_the_measured_winner_computes_and_the_plan_gives_the_numbers(tmp_path: Path) -> None:
    net = net_with(tmp_path, rivals())
    net.prepare((2, 3, 8, 8))
    assert conv(net).kernel == "modest"
    assert conv(net).why.startswith("parallel: toy is the only backend here; measured ")
    assert " ms ± " in conv(net).why
    assert "(2 images), against toy/promising " in conv(net).why


def test_off_the_cost_model_chooses_and_nothing_is_measured(tmp_path: Path) -> None:
    net_with(tmp_path, rivals()).prepare((2, 3, 8, 8))
    promising, modest = rivals()
    net = net_with(tmp_path / "off", [promising, modest], auto_tuning=False)
    net.prepare((2, 3, 8, 8))
    assert conv(net).kernel == "promising", (
        "what was measured before counts for nothing: the defaults are the same anywhere"
    )
    assert len(promising.bound) == 1
    assert modest.bound == []


def test_what_was_measured_is_not_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net_with(tmp_path, rivals()).prepare((2, 3, 8, 8))
    forget_process(monkeypatch)
    promising, modest = rivals()
    net = net_with(tmp_path / "later", [promising, modest])
    net.prepare((2, 3, 8, 8))
    assert conv(net).kernel == "modest"
    assert promising.bound == []
    assert len(modest.bound) == 1


def test_changed_sources_are_measured_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net_with(tmp_path, rivals()).prepare((2, 3, 8, 8))
    monkeypatch.setattr("cnnrt.backend.source_digest", lambda module: "rewritten")
    promising, modest = rivals()
    net_with(tmp_path / "later", [promising, modest]).prepare((2, 3, 8, 8))
    assert promising.bound


@pytest.mark.parametrize("details", [{"driver": "1.0"}, {"driver": "2.0"}])
def test_another_driver_is_another_device(tmp_path: Path, details: dict[str, str]) -> None:
    old = ToyBackend(devices=[Device("toy", "toy0", "a toy", details={"driver": "1.0"})])
    net_with(tmp_path, rivals(), [old]).prepare((2, 3, 8, 8))
    promising, modest = rivals()
    now = ToyBackend(devices=[Device("toy", "toy0", "a toy", details=details)])
    net_with(tmp_path / "later", [promising, modest], [now]).prepare((2, 3, 8, 8))
    assert bool(promising.bound) == (details["driver"] != "1.0")


def test_variants_compete_and_the_winner_is_fixed_in_the_plan(tmp_path: Path) -> None:
    kernel = SleepyKernel("Convolution", lasts=SLOW, lasts_by={4: SLOW, 8: QUICK, 13: 0.0})
    net = net_with(tmp_path, [kernel])
    net.prepare((2, 3, 8, 8))
    assert conv(net).tuning == conv(net).parameters == {"tile": 8}, "13 would be quicker, but is not allowed"
    assert "against toy/toy" in conv(net).why


def test_what_is_expected_to_be_far_slower_is_not_tried(tmp_path: Path) -> None:
    promising, modest = rivals()
    hopeless = SleepyKernel("Convolution", name="hopeless", seconds=0.1)
    net_with(tmp_path, [promising, modest, hopeless]).prepare((2, 3, 8, 8))
    assert hopeless.bound == []


def test_a_batch_in_the_same_bucket_and_a_partial_one_start_no_measurements(tmp_path: Path) -> None:
    kernels = promising, _ = rivals()
    net = net_with(tmp_path, kernels)
    net.prepare((16, 3, 8, 8))
    measured = len(promising.bound)
    net.prepare((13, 3, 8, 8))
    assert conv(net).kernel == "modest"
    net.prepare((3, 3, 8, 8))
    assert conv(net).kernel == "modest"
    assert "(16 images)" in conv(net).why
    assert len(promising.bound) == measured
    net.prepare((17, 3, 8, 8))
    assert len(promising.bound) > measured


def test_images_of_another_size_are_no_partial_batch(tmp_path: Path) -> None:
    promising, modest = rivals()
    net = net_with(tmp_path, [promising, modest])
    net.prepare((16, 3, 8, 8))
    measured = len(promising.bound)
    net.prepare((1, 3, 7, 7))
    assert len(promising.bound) > measured


def test_batches_are_in_buckets() -> None:
    assert [batch_bucket(n) for n in (0, 1, 2, 3, 4, 5, 16, 17, 1000)] == [0, 1, 2, 4, 4, 8, 16, 32, 1024]


def test_backends_compete_in_parallel_and_the_plan_says_so(tmp_path: Path) -> None:
    slow = SleepyKernel("Convolution", seconds=1e-3, lasts=SLOW)
    quick = SleepyKernel("Convolution", name="other", backend="other", seconds=2e-3, lasts=QUICK)
    net = net_with(tmp_path, [slow, quick], [ToyBackend(), ToyBackend("other")])
    net.prepare((2, 3, 8, 8))
    assert (conv(net).backend, conv(net).kernel) == ("other", "other")
    assert conv(net).why.startswith("parallel: measured to be the fastest; measured ")
    assert "toy/toy" in conv(net).why
    alone = net_with(tmp_path / "alone", [slow, quick], [ToyBackend(), ToyBackend("other")], execution_mode="toy")
    alone.prepare((2, 3, 8, 8))
    assert conv(alone).backend == "toy"


def test_another_layout_is_charged_with_the_reorders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cnnrt.tuning.tuner.reorder_seconds", lambda *_: 1.0)
    plain, last = rivals()
    last = SleepyKernel("Convolution", name="modest", seconds=2e-3, lasts=QUICK, takes="NHWC", gives="NHWC")
    net = net_with(tmp_path, [plain, last])
    net.prepare((2, 3, 8, 8))
    assert conv(net).kernel == "promising"


@pytest.mark.parametrize(("items", "order"), [(0, ["scores", "conv"]), (2, ["conv", "scores"])])
def test_the_heaviest_comes_first_and_parts_of_a_batch_count_each(
    tmp_path: Path, items: int, order: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class InParts(ToyBackend):
        def items_at_once(self, threads: int | None) -> int:
            return items

    for name, value in {"MEMORY_SECONDS": 1.0, "WEIGHT_SECONDS": 1.0, "STEP_SECONDS": 0.0, "CACHED": 0}.items():
        monkeypatch.setattr(split_batch, name, value)
    scores = [SleepyKernel("FullyConnected", name=n, seconds=s) for n, s in (("a", 2e-3), ("b", 3e-3))]
    seen: list[str] = []
    net = net_with(tmp_path, [*rivals(), *scores], [InParts()])
    net.tune((16, 3, 8, 8), progress=lambda done, total, layer: seen.append(layer))
    assert seen[:-1] == order


def test_a_budget_of_nothing_measures_nothing_and_the_plan_says_so(tmp_path: Path) -> None:
    promising, modest = rivals()
    net = net_with(tmp_path, [promising, modest], tuning_budget=0)
    net.prepare((2, 3, 8, 8))
    assert conv(net).kernel == "promising"
    assert modest.bound == []
    assert any("not measured within 0 s" in note and "conv" in note for note in net.plan.notes)


@pytest.mark.parametrize("budget", [-1, math.inf, math.nan, "10", True])
def test_a_budget_that_makes_no_sense_is_refused(tmp_path: Path, budget: Any) -> None:
    with pytest.raises(InputError, match="tuning_budget: expected seconds"):
        net_with(tmp_path, [], tuning_budget=budget)


def test_candidates_that_do_not_fit_into_the_ceiling_are_not_tried(tmp_path: Path) -> None:
    class Hungry(SleepyKernel):
        def workspace(self, call: Any) -> int:
            return 3 << 20

    promising, _ = rivals()
    hungry = Hungry("Convolution", name="hungry", seconds=2e-3, lasts=QUICK)
    net_with(tmp_path, [promising, hungry], allocated_ram=2).prepare((2, 3, 8, 8))
    assert hungry.bound == []
    net = net_with(tmp_path / "more", [promising, hungry], allocated_ram=20)
    net.prepare((2, 3, 8, 8))
    assert conv(net).kernel == "hungry"


def test_while_another_process_measures_the_defaults_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cnnrt.tuning.tuner.PATIENCE", 0.05)
    folder = cache_folder("tuning")
    with turn(folder, 0) as granted:
        assert granted
        net = net_with(tmp_path, rivals())
        net.prepare((2, 3, 8, 8))
    assert conv(net).kernel == "promising"
    assert any("another process is measuring" in note for note in net.plan.notes)


def test_what_another_process_learned_meanwhile_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = net_with(tmp_path, rivals())
    net.plan_for((2, 3, 8, 8))  # the store was read
    mine = module._stores.copy()
    forget_process(monkeypatch)
    net_with(tmp_path / "other", rivals()).prepare((2, 3, 8, 8))
    monkeypatch.setattr(module, "_stores", mine)
    promising, modest = rivals()
    late = net_with(tmp_path / "late", [promising, modest])
    late.prepare((2, 3, 8, 8))
    assert conv(late).kernel == "modest"
    assert promising.bound == []


def test_one_line_is_logged_before_measuring(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "cnnrt.tuning"):
        net_with(tmp_path, rivals()).prepare((2, 3, 8, 8))
    assert [r.getMessage() for r in caplog.records] == [
        "measuring the kernels of 1 layers for at most 10 s; what is learned is remembered (auto_tuning)"
    ]


def test_an_interrupt_keeps_what_was_learned_and_comes_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pools = [SleepyKernel("Pooling", name=n, seconds=s, lasts=t) for n, s, t in (("a", 5e-4, SLOW), ("b", 6e-4, QUICK))]

    def interrupt(call: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(pools[1], "bind", interrupt)
    promising, modest = rivals()
    with pytest.raises(KeyboardInterrupt):
        net_with(tmp_path, [promising, modest, *pools]).prepare((2, 3, 8, 8))
    (fact,) = default_store().facts("measurement")
    assert "Convolution" in fact.key["call"]["layer"], "the heaviest layer comes first"


def slowly_made(making: float = 0.05) -> list[SlowlyMadeKernel]:
    """Two layers' kernels of six variants, the last of which is the quickest; the first layer is by far the heavier."""
    lasts = {**dict.fromkeys(range(1, 6), SLOW), 6: QUICK}
    return [
        SlowlyMadeKernel(kind, making, name="slowly", seconds=seconds, lasts=SLOW, lasts_by=lasts)
        for kind, seconds in (("Convolution", 1.0), ("FullyConnected", 1e-3))
    ]


def tried(known: Sequence[Tuned]) -> dict[str, tuple[int, int]]:
    """Return for each measured layer how many candidates were timed, and how many are left."""
    return {t.layer: (len(t.record.timed), t.record.left) for t in known if t.record}


def test_every_layer_is_measured_with_its_first_candidates_before_any_is_with_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The heavier layer's share would be all of the time, and making its seven candidates takes most of that."""
    monkeypatch.setattr("cnnrt.tuning.budget.LEAST_TIMING", 0.8)
    net = net_with(tmp_path, slowly_made(0.2))
    seen: list[str] = []
    known = net.tune((2, 3, 8, 8), budget=2.5, progress=lambda done, total, layer: seen.append(layer))
    assert seen == ["conv", "scores", ""]
    assert tried(known).keys() == {"conv", "scores"}
    for timed, left in tried(known).values():
        assert timed >= 2
        assert timed + left == 7
    assert any(left for _, left in tried(known).values())


def test_what_time_is_left_goes_to_the_other_candidates(tmp_path: Path) -> None:
    known = net_with(tmp_path, slowly_made()).tune((2, 3, 8, 8), budget=30)
    assert tried(known) == {"conv": (7, 0), "scores": (7, 0)}


def test_candidates_that_were_left_are_tried_by_the_next_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = net_with(tmp_path, slowly_made(0.3), tuning_budget=2)
    net.prepare((2, 3, 8, 8))
    assert any("measured, but not with all kernels, within 2 s: conv" in note for note in net.plan.notes)
    forget_process(monkeypatch)
    first, _ = kernels = slowly_made(0.0)
    net = net_with(tmp_path / "later", kernels, tuning_budget=30)
    net.prepare((2, 3, 8, 8))
    assert conv(net).tuning == {"tile": 6}
    assert not any("not with all kernels" in note for note in net.plan.notes)
    (record,) = [t.record for t in net.tune((2, 3, 8, 8)) if t.layer == "conv"]
    assert record is not None
    assert (len(record.timed), record.left) == (7, 0)
    assert first.bound, "the others were tried"


def test_a_liar_among_the_candidates_is_verified_before_it_is_timed(tmp_path: Path) -> None:
    def spoil(output: Any) -> None:
        output[...] = 0

    promising, modest = rivals()
    liar = CompiledKernel("Convolution", spoil, name="liar", seconds=1.5e-3)
    net = net_with(tmp_path, [promising, modest, liar])
    with pytest.warns(KernelWarning, match="layer 'conv': kernel 'toy/liar' computes wrongly on toy:toy0"):
        net.prepare((2, 3, 8, 8))
    assert conv(net).kernel == "modest"
    assert "toy/liar is quarantined" in conv(net).why
    assert liar.calls == 1


def test_where_strict_is_asked_for_a_liar_among_the_candidates_is_an_error(tmp_path: Path) -> None:
    def spoil(output: Any) -> None:
        output[...] = 0

    promising, modest = rivals()
    liar = CompiledKernel("Convolution", spoil, name="liar", seconds=1.5e-3)
    net = net_with(tmp_path, [promising, modest, liar], strict=True)
    with pytest.raises(PlacementError, match=r"(?s)strict.*layer 'conv': kernel 'toy/liar' computes wrongly"):
        net.prepare((2, 3, 8, 8))


def test_a_liar_that_was_the_default_leaves_the_others_to_compete(tmp_path: Path) -> None:
    def spoil(output: Any) -> None:
        output[...] = 0

    liar = CompiledKernel("Convolution", spoil, name="liar", seconds=1e-4)
    third = SleepyKernel("Convolution", name="third", seconds=2e-4, lasts=SLOW)
    fourth = SleepyKernel("Convolution", name="fourth", seconds=3e-4, lasts=QUICK)
    net = net_with(tmp_path, [liar, third, fourth])
    with pytest.warns(KernelWarning, match="layer 'conv': kernel 'toy/liar' computes wrongly on toy:toy0"):
        net.prepare((2, 3, 8, 8))
    assert conv(net).kernel == "fourth"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda v: v.update(winner=7),
        lambda v: v.update(winner=True),
        lambda v: v["timed"].clear(),
        lambda v: v["timed"][0].update(seconds="fast"),
        lambda v: v["timed"][0].update(seconds=0),
        lambda v: v["timed"][0].update(noise=-1),
        lambda v: v["timed"][0].update(tuning=[1]),
        lambda v: v["timed"][0].update(tuning={"tile": 1.5}),
        lambda v: v.pop("default"),
        lambda v: v.update(batch="many"),
        lambda v: v.update(left=-1),
        lambda v: v.update(left="some"),
    ],
)
def test_records_of_the_wrong_form_are_no_records(tmp_path: Path, spoil: Any) -> None:
    net_with(tmp_path, rivals()).prepare((2, 3, 8, 8))
    store = default_store()
    (fact,) = store.facts("measurement")
    assert record_from(fact.value) is not None
    value = json.loads(json.dumps(fact.value))
    spoil(value)
    assert record_from(value) is None
    store.put("measurement", fact.key, value)
    net = net_with(tmp_path / "later", rivals())
    net.prepare((2, 3, 8, 8))
    assert conv(net).kernel == "modest", "it was measured again"


def test_a_record_that_names_other_parameters_than_the_kernel_has_is_ignored(tmp_path: Path) -> None:
    kernel = SleepyKernel("Convolution", lasts=SLOW, lasts_by={8: QUICK})
    net_with(tmp_path, [kernel]).prepare((2, 3, 8, 8))
    store = default_store()
    (fact,) = store.facts("measurement")
    fact.value["timed"][fact.value["winner"]]["tuning"] = {"tile": 13}
    store.put("measurement", fact.key, fact.value)
    net = net_with(tmp_path / "later", [kernel])
    net.prepare((2, 3, 8, 8))
    assert conv(net).tuning == {}


def test_one_plan_gives_the_same_bits_and_a_saved_one_pins_the_choices(tmp_path: Path) -> None:
    kernel = SleepyKernel("Convolution", lasts=SLOW, lasts_by={4: SLOW, 8: QUICK})
    tuned = net_with(tmp_path, [kernel])
    x = images(2, 3, 8, 8)
    expected = tuned.compute(x)
    saved = json.loads(json.dumps(tuned.plan.to_dict()))
    pinned = net_with(tmp_path / "later", [kernel], auto_tuning=False, plan=saved)
    np.testing.assert_array_equal(pinned.compute(x), expected)
    assert conv(pinned).tuning == {"tile": 8}
    assert conv(pinned).why == "pinned by the plan that was handed in"
    assert conv(net_with(tmp_path / "same", [kernel], auto_tuning=False, plan=tuned.plan)).tuning == {"tile": 8}


def test_a_saved_plan_that_cannot_be_kept_names_every_layer(tmp_path: Path) -> None:
    saved = net_with(tmp_path, [SleepyKernel("Convolution", name="gone")], auto_tuning=False).plan
    with pytest.raises(PlacementError, match=r"(?s)cannot be kept.*layer 'conv' \(Convolution\): toy/gone is not here"):
        net_with(tmp_path / "later", [SleepyKernel("Convolution", name="new")], plan=saved).prepare()


@pytest.mark.parametrize("plan", [5, {}, {"rows": 3}, {"rows": [{"layer": "conv"}]}, {"rows": [None]}])
def test_something_else_than_a_plan_is_refused(tmp_path: Path, plan: Any) -> None:
    with pytest.raises(InputError, match="plan: expected"):
        net_with(tmp_path, [], plan=plan)


def test_tune_returns_what_is_known_of_each_layer(tmp_path: Path) -> None:
    seen: list[tuple[int, int, str]] = []
    net = net_with(tmp_path, rivals(), auto_tuning=False)
    known = {t.layer: t for t in net.tune((2, 3, 8, 8), budget=5, progress=lambda *a: seen.append(a))}
    record = known["conv"].record
    assert record is not None
    assert record.timed[record.winner].kernel == "toy/modest"
    assert record.gain > 1.5
    assert known["prob"].record is None
    assert known["prob"].why == "no other kernel comes near the default"
    assert seen == [(0, 1, "conv"), (1, 1, "")]


def test_a_winner_beats_the_default_by_more_than_chance() -> None:
    steady = Timing((1.0, 1.01, 0.99, 1.0, 1.01, 0.99))
    assert winner_of([steady, Timing((0.9, 0.91, 0.9, 0.9, 0.91, 0.89))]) == 1
    assert winner_of([steady, Timing((0.99, 1.02, 0.98, 1.0, 1.01, 0.98))]) == 0
    assert winner_of([steady, Timing((0.5, 2.0, 0.4, 1.9, 0.5, 2.1))]) == 0
    assert winner_of([steady, Timing((0.1,))]) == 0, "one round is no evidence"
    assert winner_of([steady, Timing(tuple(r - 0.1 for r in steady.rounds)), Timing((0.5,) * 6)]) == 2


def test_the_standard_error_is_that_of_a_median_whatever_outliers_there_are() -> None:
    values = np.random.default_rng(1).standard_normal(4001)
    assert standard_error(values.tolist()) == pytest.approx(1.2533 / np.sqrt(4001), rel=0.05)
    assert standard_error([*values.tolist(), 1e9]) == pytest.approx(1.2533 / np.sqrt(4001), rel=0.05)


def test_a_hopeless_candidate_is_run_once() -> None:
    runs = [0, 0]

    def run(i: int, lasts: float) -> None:
        import time

        runs[i] += 1
        time.sleep(lasts)

    timings = time_in_turns([lambda: run(0, 0.0005), lambda: run(1, 0.02)], math.inf)
    assert len(timings[1].rounds) == 1
    assert len(timings[0].rounds) > 5
    assert runs[1] == 3
