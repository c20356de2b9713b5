"""`Net.compute`: what may be handed in, what comes back, and whose memory that is."""

from __future__ import annotations

import copy
import logging
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.signal import correlate  # type: ignore[import-untyped]  # SciPy has no types

from cnnrt import CnnrtError, Net
from cnnrt.errors import InputError
from cnnrt.prepared_networks import PREPARED_KEPT
from core_suite.small_networks import (
    chain_parameters,
    filters,
    images,
    write_chain,
    write_network,
    write_text,
    write_two_in_two_out,
)
from netfile_spec import InputBlock, layer


@pytest.fixture
def net(tmp_path: Path) -> Iterator[Net]:
    with Net(write_chain(tmp_path / "chain")) as opened:
        yield opened


@pytest.fixture
def branched(tmp_path: Path) -> Iterator[Net]:
    with Net(write_two_in_two_out(tmp_path / "branched")) as opened:
        yield opened


def test_a_batch_gives_a_row_for_each_image_and_a_single_image_just_that_row(net: Net) -> None:
    x = images(4, 3, 8, 8)
    y = net.compute(x)
    assert (y.shape, y.dtype) == ((4, 5), np.float32)
    np.testing.assert_allclose(y.sum(axis=1), 1, rtol=1e-5)
    for image, row in zip(x, y, strict=True):
        one = net.compute(image)
        assert one.shape == (5,)
        np.testing.assert_allclose(one, row, rtol=1e-5)


def test_the_results_are_those_of_the_formulas(net: Net) -> None:

    weights = chain_parameters()
    x = images(3, 8, 8).astype(np.float64)
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    maps = [
        correlate(padded, w, mode="valid")[0] + b
        for w, b in zip(weights["conv"]["weight"].astype(np.float64), weights["conv"]["bias"], strict=True)
    ]
    pooled = np.maximum(maps, 0).reshape(4, 4, 2, 4, 2).max(axis=(2, 4))
    scores = weights["scores"]["weight"].astype(np.float64) @ pooled.reshape(64) + weights["scores"]["bias"]
    np.testing.assert_allclose(
        net.compute(x.astype(np.float32), outputs=["scores"])["scores"], scores, rtol=1e-5, atol=1e-5
    )
    expected = np.exp(scores) / np.exp(scores).sum()
    np.testing.assert_allclose(net.compute(x.astype(np.float32)), expected, rtol=1e-5)


def test_an_empty_batch_gives_an_empty_result(net: Net, branched: Net) -> None:
    assert net.compute(images(0, 3, 8, 8)).shape == (0, 5)
    assert net.compute(images(0, 3, 8, 8), outputs=["conv"])["conv"].shape == (0, 4, 8, 8)
    assert branched.compute({"left": images(0, 2, 6, 6), "right": images(0, 3, 6, 6)})["features"].shape == (0, 7)


def test_several_inputs_and_outputs_go_by_name(branched: Net) -> None:
    left, right = images(3, 2, 6, 6), images(3, 3, 6, 6)
    values = branched.compute({"right": right, "left": left})
    assert {name: v.shape for name, v in values.items()} == {"sum": (3, 4, 6, 6), "features": (3, 7)}
    singles = branched.compute({"left": left[1], "right": right[1]})
    assert singles["sum"].shape == (4, 6, 6)
    np.testing.assert_allclose(singles["features"], values["features"][1], rtol=1e-5, atol=1e-6)


def test_an_only_input_may_be_named_as_well(net: Net) -> None:
    x = images(2, 3, 8, 8)
    np.testing.assert_array_equal(net.compute({"data": x}), net.compute(x))


def test_any_value_can_be_asked_for_and_comes_under_the_name_that_was_used(net: Net) -> None:
    x = images(2, 3, 8, 8)
    names = [block.name for block in net.netfile.layers]
    values = net.compute(x, outputs=names)
    assert list(values) == names
    assert (values["conv"] < 0).any()
    np.testing.assert_array_equal(values["relu"], np.maximum(values["conv"], 0))
    np.testing.assert_array_equal(values["drop"], values["pool"])
    np.testing.assert_array_equal(values["flat"], values["pool"].reshape(2, 64))
    np.testing.assert_array_equal(values["prob"], net.compute(x))
    assert list(net.compute(x, outputs="conv")) == ["conv"]
    assert list(net.compute(x, outputs=iter(["conv", "conv"]))) == ["conv"]


def test_an_unknown_value_names_the_nearest_and_an_empty_list_is_an_error(net: Net) -> None:
    with pytest.raises(InputError, match="no value is named 'Conv1'; did you mean 'conv'"):
        net.compute(images(3, 8, 8), outputs=["Conv1"])
    with pytest.raises(InputError, match="outputs names no value"):
        net.compute(images(3, 8, 8), outputs=[])


def test_two_names_of_one_value_give_it_twice(tmp_path: Path) -> None:
    net = Net(write_text(tmp_path, 'layer { type: "ReLU" name: "r" top: "blob" }'))
    x = images(2, 3, 4, 4)
    values = net.compute(x, outputs=["blob", "r"])
    assert list(values) == ["blob", "r"]
    np.testing.assert_array_equal(values["blob"], np.maximum(x, 0))
    np.testing.assert_array_equal(values["r"], values["blob"])


X = images(2, 3, 8, 8)
WRONG_INPUTS: dict[str, tuple[Any, str]] = {
    "a list": (X.tolist(), "expected a NumPy array of float32, got list"),
    "float64": (X.astype(np.float64), "expected float32, got float64; convert it with images.astype(np.float32)"),
    "uint8": (X.astype(np.uint8), "expected float32, got uint8"),
    "the other byte order": (X.astype(">f4"), "expected float32, got >f4"),
    "too few dimensions": (X[0, 0], "expected 3×8×8 or a batch N×3×8×8, got 8×8"),
    "too many dimensions": (X[None], "got 1×2×3×8×8"),
    "other channels": (X[:, :2], "expected 3×8×8 or a batch N×3×8×8, got 2×2×8×8"),
    "no pixels": (X[:, :, :0], "2×3×0×8 holds no values"),
    "another input": ({"image": X}, "no input 'image'; known: data"),
    "no input": ({}, "input 'data' is missing; the network needs 'data'"),
}


@pytest.mark.parametrize(("given", "message"), WRONG_INPUTS.values(), ids=WRONG_INPUTS)
def test_what_cannot_be_computed_is_refused_with_what_was_expected(net: Net, given: Any, message: str) -> None:
    with pytest.raises(InputError) as caught:
        net.compute(given)
    assert message in str(caught.value)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_refused_with_its_place(net: Net, bad: float) -> None:
    x = images(2, 3, 8, 8)
    x[1, 2, 3, 4] = bad
    x[1, 2, 3, 5] = -bad
    with pytest.raises(InputError, match=r"2 of 384 values are NaN or infinite, the first at \(1, 2, 3, 4\)"):
        net.compute(x)


def test_finite_values_whose_sum_is_not_are_fine(tmp_path: Path) -> None:
    net = Net(write_text(tmp_path, 'layer { type: "ReLU" name: "r" }'))
    x = np.full((1, 1, 2, 2), np.finfo(np.float32).max, np.float32)
    np.testing.assert_array_equal(net.compute(x), x)


def test_inputs_of_several_must_agree(branched: Net) -> None:
    left, right = images(3, 2, 6, 6), images(3, 3, 6, 6)
    with pytest.raises(InputError, match="has 2 inputs: hand in a dict with 'left', 'right'"):
        branched.compute(left)
    with pytest.raises(InputError, match="input 'right' is missing"):
        branched.compute({"left": left})
    with pytest.raises(InputError, match="same number of items, got left 3, right 2"):
        branched.compute({"left": left, "right": right[:2]})
    with pytest.raises(InputError, match="some inputs are single items and some are batches"):
        branched.compute({"left": left[0], "right": right})


def test_without_a_stated_shape_images_and_batches_of_features_are_taken(tmp_path: Path) -> None:
    net = Net(write_network(tmp_path, [layer("FullyConnected", "fc")], {"fc": filters(0, 5, 12)}))
    x = images(4, 3, 2, 2)
    y = net.compute(x)
    np.testing.assert_allclose(net.compute(x.reshape(4, 12)), y, rtol=1e-5)
    np.testing.assert_allclose(net.compute(x[1]), y[1], rtol=1e-5, atol=1e-6)
    with pytest.raises(InputError, match=r"expected \(N, C, H, W\) or \(C, H, W\), got 12"):
        net.compute(images(12))


def test_a_network_that_takes_one_batch_only_says_so(tmp_path: Path) -> None:
    inputs = [InputBlock("data", (3, 8, 8), batch=2)]
    net = Net(write_network(tmp_path, [layer("ReLU", "r")], inputs=inputs))
    x = images(2, 3, 8, 8)
    np.testing.assert_array_equal(net.compute(x), np.maximum(x, 0))
    assert net.prepare().inputs == {"data": (2, 3, 8, 8)}
    for other in (x[:1], x[0]):
        with pytest.raises(InputError, match=r"expected a batch of 2, the only one .*, got 1×3×8×8"):
            net.compute(other)
    with pytest.raises(InputError, match="expected 3×8×8 or a batch 2×3×8×8"):
        net.compute(x[:, 0])


def test_inputs_of_one_batch_only_need_not_agree_with_others(tmp_path: Path) -> None:
    inputs = [InputBlock("rows", (3,), batch=4), InputBlock("one", (1,), batch=1), InputBlock("data", (3,))]
    layers = [layer("ReLU", name, bottom=bottom) for name, bottom in (("a", "rows"), ("b", "one"), ("c", "data"))]
    net = Net(write_network(tmp_path, layers, inputs=inputs))
    given = {"rows": images(4, 3), "one": images(1, 1), "data": images(2, 3)}
    for name, result in zip("abc", given.values(), strict=True):
        np.testing.assert_array_equal(net.compute(given)[name], np.maximum(result, 0))


def test_rows_and_columns_may_differ_from_what_is_stated_as_far_as_the_layers_allow(tmp_path: Path) -> None:
    path = write_network(
        tmp_path, [layer("Convolution", "c")], {"c": filters(0, 2, 3, 3, 3)}, inputs=[InputBlock("data", (3, 8, 8))]
    )
    assert Net(path).compute(images(1, 3, 10, 5)).shape == (1, 2, 8, 3)


def test_what_is_handed_in_is_not_changed_and_may_be_read_only_or_strided(net: Net) -> None:
    x = images(2, 8, 8, 3)
    x.flags.writeable = False
    before = x.tobytes()
    y = net.compute(x.transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(y, net.compute(np.ascontiguousarray(x.transpose(0, 3, 1, 2))))
    assert x.tobytes() == before


def test_results_belong_to_the_caller_and_no_later_call_touches_them(net: Net) -> None:
    names = ["data", "conv", "pool", "flat", "drop", "prob"]
    first_images, second_images = images(2, 3, 8, 8, seed=1), images(2, 3, 8, 8, seed=2)
    first = net.compute(first_images, outputs=names)
    kept = {name: value.copy() for name, value in first.items()}
    second = net.compute(second_images, outputs=names)
    for name in names:
        np.testing.assert_array_equal(first[name], kept[name])
        assert first[name].flags.writeable
        assert not any(np.shares_memory(first[name], other) for other in second.values())
        assert not np.shares_memory(first[name], first_images)
        first[name][...] = np.nan  # nor does a caller touch what is computed later
    again = net.compute(first_images, outputs=names)
    for name in names:
        np.testing.assert_array_equal(again[name], kept[name])


def test_a_call_keeps_nothing_of_what_was_handed_in_or_back(net: Net) -> None:
    import gc
    import weakref

    x = images(2, 3, 8, 8)
    y = net.compute(x)
    gone = [weakref.ref(x), weakref.ref(y)]
    del x, y
    gc.collect()
    assert [r() for r in gone] == [None, None]


def test_equal_calls_give_equal_bits(net: Net) -> None:
    x = images(3, 3, 8, 8)
    assert net.compute(x).tobytes() == net.compute(x).tobytes()


def test_an_error_in_one_call_does_not_hurt_the_next(tmp_path: Path) -> None:
    labels = {"labels": np.array([0, 9], np.float32).reshape(2, 1, 1, 1)}
    text = """
        layer { type: "Softmax" name: "prob" }
        layer { type: "Accuracy" name: "accuracy" topk: 1 parameters_file: "labels.msg" }
    """
    net = Net(write_text(tmp_path, text, labels=labels))
    for _ in range(3):
        with pytest.raises(CnnrtError, match="label 9 of image 1"):
            net.compute(images(2, 4))
        assert net.compute(images(2, 4), outputs=["prob"])["prob"].shape == (2, 4)


def test_the_accuracy_of_a_batch_is_one_number(tmp_path: Path) -> None:
    labels = {"labels": np.array([0, 1, 0, 0], np.float32).reshape(4, 1, 1, 1)}
    text = 'layer { type: "Accuracy" name: "accuracy" topk: 1 parameters_file: "labels.msg" }'
    net = Net(write_text(tmp_path, text, labels=labels))
    scores = np.array([[9, 1], [1, 9], [1, 9], [9, 1]], np.float32)
    result = net.compute(scores)
    assert isinstance(result, np.ndarray)
    assert (result.shape, float(result)) == ((), 0.75)
    with pytest.raises(CnnrtError, match="one label for each of 3 images"):
        net.compute(scores[:3])


def test_a_single_items_value_without_batch_dimension_comes_as_it_is(tmp_path: Path) -> None:
    net = Net(write_text(tmp_path, 'layer { type: "Flatten" name: "all" axis: 0 }'))
    x = images(2, 3, 3)
    np.testing.assert_array_equal(net.compute(x), x.reshape(18))


def test_a_closed_net_says_so_and_closing_twice_is_fine(tmp_path: Path) -> None:
    with Net(write_chain(tmp_path)) as net:
        net.compute(images(3, 8, 8))
    net.close()
    with pytest.raises(CnnrtError, match="this Net is closed"):
        net.compute(images(3, 8, 8))
    with pytest.raises(CnnrtError, match="this Net is closed"):
        _ = net.plan
    with pytest.raises(CnnrtError, match="this Net is closed"):
        net.tune((1, 3, 8, 8))


@pytest.mark.parametrize("copied", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_net_is_neither_pickled_nor_copied(net: Net, copied: Callable[[Net], object]) -> None:
    with pytest.raises(InputError, match="make one from the NetFile in each process"):
        copied(net)


def test_arguments_of_another_type_are_named(tmp_path: Path) -> None:
    path: Any = write_chain(tmp_path)
    for arguments, message in (
        ((None, {}), "netfile: expected a path or a NetFile, got None"),
        ((bytes(path), {}), "netfile: expected a path"),
        ((path, {"root_directory": 3}), "root_directory: expected a path, got 3"),
        ((path, {"strict": "no"}), "strict: expected True or False, got 'no'"),
    ):
        positional, named = arguments
        with pytest.raises(InputError, match=message):
            Net(positional, **named)


def test_the_latest_shapes_stay_prepared(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    from cnnrt.prepare import compile_planned

    made = []

    def counted(planned: Any, *rest: Any) -> Any:
        made.append(planned.plan.inputs["data"][0])
        return compile_planned(planned, *rest)

    monkeypatch.setattr("cnnrt.prepared_networks.compile_planned", counted)

    def compute(batch: int) -> None:
        net.compute(images(batch, 3, 8, 8))

    for batch in range(1, PREPARED_KEPT + 1):
        compute(batch)
        compute(batch)
    assert made == list(range(1, PREPARED_KEPT + 1))
    compute(1)  # used again, so that 2 is now the one that was not used for longest
    compute(PREPARED_KEPT + 1)
    compute(1)
    assert made == list(range(1, PREPARED_KEPT + 2))
    compute(2)
    assert made[-1] == 2


def test_preparing_for_other_shapes_packs_no_weights_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cnnrt.weights import WeightSource

    loads: list[str] = []
    original = WeightSource.opened

    def counted(self: WeightSource, *rest: Any, **options: Any) -> Any:
        loads.append(self.path.name)
        return original(self, *rest, **options)

    monkeypatch.setattr(WeightSource, "opened", counted)
    net = Net(write_chain(tmp_path))
    assert loads == []
    net.plan_for()
    assert loads == []  # planning reads nothing
    for batch in (1, 2, 3):
        net.compute(images(batch, 3, 8, 8))
    assert sorted(loads) == ["conv.msg", "scores.msg"]


def test_prepare_takes_shapes_in_several_forms(net: Net, branched: Net, tmp_path: Path) -> None:
    assert net.prepare().inputs == {"data": (1, 3, 8, 8)}
    assert net.prepare((2, 3, 8, 8)).inputs == {"data": (2, 3, 8, 8)}
    assert net.prepare({"data": np.array([2, 3, 8, 8])}).inputs == {"data": (2, 3, 8, 8)}
    assert branched.prepare({"left": (2, 2, 6, 6)}, outputs=["features"]).inputs == {"left": (2, 2, 6, 6)}
    assert net.plan.inputs == {"data": (2, 3, 8, 8)}
    unstated = Net(write_chain(tmp_path, stated_shape=False))
    with pytest.raises(InputError, match="does not state the shape of 'data'"):
        _ = unstated.plan


@pytest.mark.parametrize(
    "shape",
    [(2, 4, 8, 8), (3, 8, 8), (2, 3, 8, -8), (2, 3, 0, 8), (2.5, 3, 8, 8), "1388", 7, (), {"image": (1, 3, 8, 8)}],
)
def test_prepare_refuses_what_is_no_shape_of_the_input(net: Net, shape: Any) -> None:
    with pytest.raises(InputError, match="input"):
        net.prepare(shape)


SETTINGS: dict[str, Any] = {
    "allocated_ram": [0, -1, float("nan"), float("inf"), True, "20"],
    "threads": [0, -1, 1.5, True],
    "concurrency": [0, 1.5],
    "auto_tuning": ["yes", 7],
    "execution_mode": [3],
    "device": [0],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in SETTINGS.items() for value in values])
def test_an_impossible_setting_is_refused(tmp_path: Path, name: str, value: Any) -> None:
    with pytest.raises(InputError, match=f"^{name}: expected"):
        Net(write_chain(tmp_path), **{name: value})


def test_what_the_caller_says_wins_over_the_netfile_and_that_over_the_defaults(tmp_path: Path) -> None:
    plain = Net(write_chain(tmp_path / "a")).settings
    assert (plain.execution_mode, plain.allocated_ram, plain.auto_tuning) == ("parallel", None, False)
    path = write_chain(tmp_path / "b", execution_mode="Sequential", allocated_ram=30, auto_tuning=True)
    stated = Net(path).settings
    assert (stated.execution_mode, stated.allocated_ram, stated.auto_tuning) == ("sequential", 30, True)
    said = Net(path, execution_mode="PARALLEL", allocated_ram=0.5, auto_tuning="off").settings
    assert (said.execution_mode, said.allocated_ram, said.auto_tuning) == ("parallel", 0.5, False)


def test_auto_tuning_with_nothing_to_tune_is_said_in_the_plan(tmp_path: Path) -> None:
    assert any("auto_tuning is on" in note for note in Net(write_chain(tmp_path), auto_tuning=True).plan.notes)
    assert not any("auto_tuning" in note for note in Net(tmp_path / "net.netfile").plan.notes)


def test_a_profile_has_a_time_for_each_layer_that_runs(net: Net) -> None:
    profile = net.profile(images(2, 3, 8, 8))
    assert [t.layer for t in profile.layers] == ["conv", "pool", "scores", "prob"]
    assert all(t.run_seconds > 0 for t in profile.layers)
    assert sum(t.run_seconds + t.load_seconds for t in profile.layers) <= profile.seconds
    assert "whole call" in str(profile)


def test_the_logger_tells_the_time_of_each_layer_at_debug_and_nothing_else(
    net: Net, caplog: pytest.LogCaptureFixture
) -> None:
    x = images(2, 3, 8, 8)
    expected = net.compute(x)
    assert caplog.records == []
    with caplog.at_level(logging.DEBUG, "cnnrt"):
        np.testing.assert_array_equal(net.compute(x), expected)
    assert [r.getMessage().partition(":")[0] for r in caplog.records] == ["conv", "pool", "scores", "prob"]
    assert all(r.levelno == logging.DEBUG and "parameters loaded in" in r.getMessage() for r in caplog.records)


def test_nothing_is_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    Net(write_chain(tmp_path)).compute(images(2, 3, 8, 8))
    assert capfd.readouterr() == ("", "")


def test_both_layouts_of_parameter_files_give_the_same_bits(tmp_path: Path) -> None:
    x = images(4, 3, 8, 8)
    ours = Net(write_chain(tmp_path / "ours")).compute(x)
    theirs = Net(write_chain(tmp_path / "theirs", layout="cnndroid")).compute(x)
    assert (tmp_path / "ours" / "conv.msg").read_bytes() != (tmp_path / "theirs" / "conv.msg").read_bytes()
    assert ours.tobytes() == theirs.tobytes()
