"""Placement: who computes what, the reason that the plan gives, and what cannot be had."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnnrt import Net
from cnnrt.backend import Device, Kernel, Packed
from cnnrt.errors import CnnrtError, PlacementError
from cnnrt.layer import Array
from cnnrt.layer_call import LayerCall
from cnnrt.plan import PlanRow
from core_suite.plugins_in_memory import host_with_backends
from core_suite.small_networks import filters, images, write_chain, write_network, write_text
from core_suite.toy_backend import ToyBackend, ToyKernel
from netfile_spec import InputBlock, layer

ALL = ("Convolution", "Pooling", "FullyConnected", "Softmax", "ReLU", "Dropout")


def net_with(
    folder: Path, kernels: Sequence[Kernel], *, sequential: bool = False, backends: Any = None, **options: Any
) -> Net:
    host = host_with_backends(backends or [ToyBackend()], kernels, sequential=sequential)
    return Net(write_chain(folder), plugins=host, **options)


def rows(net: Net) -> dict[str, PlanRow]:
    return {row.layer: row for row in net.plan.rows}


def test_every_layer_runs_on_the_only_backend_and_the_plan_says_so(tmp_path: Path) -> None:
    kernels = [ToyKernel(layer) for layer in ALL]
    net = net_with(tmp_path, kernels)
    net.compute(images(2, 3, 8, 8))
    assert net.plan.backends == ("toy",)
    assert net.plan.fallbacks == ()
    for row in net.plan.rows:
        if row.layer != "flat":
            assert (row.backend, row.device, row.kernel, row.segment) == ("toy", "toy0", "toy", 0)
            assert row.parameters == {"tile": 4}
            assert row.why.startswith("parallel: toy is the only backend here; expected 1e+03 ms")
    assert {k.layer: k.calls for k in kernels} == {
        "Convolution": 1,
        "Pooling": 1,
        "FullyConnected": 1,
        "Softmax": 1,
        "ReLU": 0,  # folded
        "Dropout": 0,  # dropped
    }


def test_a_view_runs_nowhere(tmp_path: Path) -> None:
    row = rows(net_with(tmp_path, [ToyKernel(layer) for layer in ALL]))["flat"]
    assert (row.segment, row.kernel, row.flops, row.bytes, row.fallback) == (-1, "view", 0, 0, False)
    assert "nothing to compute" in row.why


def test_parallel_picks_what_is_expected_to_be_fastest_layer_by_layer(tmp_path: Path) -> None:
    fast, slow = ToyKernel("Convolution", seconds=1e-12), ToyKernel("Softmax", seconds=1.0)
    net = net_with(tmp_path, [fast, slow], sequential=True)
    net.compute(images(2, 3, 8, 8))
    placed = rows(net)
    assert placed["conv"].backend == "toy"
    assert placed["prob"].backend == "sequential"
    assert placed["conv"].why.startswith("parallel: expected to be the fastest; expected 1e-09 ms, against sequential/")
    assert "toy/toy 1e+03 ms" in placed["prob"].why
    assert (fast.calls, slow.calls) == (1, 0)
    assert net.plan.backends == ("toy", "sequential")
    assert (placed["conv"].segment, placed["pool"].segment, placed["prob"].segment) == (0, 1, 1)


def test_kernels_of_one_backend_compete(tmp_path: Path) -> None:
    kernels = [
        ToyKernel("Softmax", name=name, seconds=s) for name, s in (("slow", 3.0), ("quick", 1.0), ("so-so", 2.0))
    ]
    row = rows(net_with(tmp_path, kernels))["prob"]
    assert row.kernel == "quick"
    assert row.why.endswith("against toy/so-so 2e+03 ms, toy/slow 3e+03 ms")


def test_a_backends_name_keeps_every_layer_there_and_what_it_lacks_runs_by_its_reference(tmp_path: Path) -> None:
    kernels = [ToyKernel("Convolution"), ToyKernel("Softmax", answer="more than 4 classes")]
    net = net_with(tmp_path, kernels, sequential=True, execution_mode="TOY")
    expected = Net(net.netfile, root_directory=tmp_path).compute(images(2, 3, 8, 8))
    np.testing.assert_allclose(net.compute(images(2, 3, 8, 8)), expected, atol=1e-6)
    placed = rows(net)
    assert (placed["conv"].backend, placed["conv"].fallback) == ("toy", False)
    assert placed["conv"].why.startswith('execution_mode "toy"')
    assert (placed["pool"].backend, placed["pool"].kernel, placed["pool"].fallback) == ("core", "reference", True)
    assert placed["pool"].why == "toy has no kernel for Pooling; runs by its reference"
    assert placed["prob"].why == "toy/toy: more than 4 classes; runs by its reference"
    assert [row.layer for row in net.plan.fallbacks] == ["pool", "scores", "prob"]
    assert "runs by its reference" in str(net.plan)


def test_strict_names_every_layer_that_would_fall_back_and_why(tmp_path: Path) -> None:
    kernels = [ToyKernel("Convolution"), ToyKernel("Pooling"), ToyKernel("Softmax", answer="more than 4 classes")]
    net = net_with(tmp_path, kernels, strict=True)
    with pytest.raises(PlacementError) as caught:
        net.compute(images(3, 8, 8))
    assert str(caught.value).splitlines() == [
        f"{tmp_path / 'net.netfile'}: strict forbids falling back on layers' references:",
        "    layer 'scores' (FullyConnected): toy has no kernel for FullyConnected; runs by its reference",
        "    layer 'prob' (Softmax): toy/toy: more than 4 classes; runs by its reference",
    ]


def test_strict_is_content_where_every_layer_has_a_kernel(tmp_path: Path) -> None:
    net = Net(write_chain(tmp_path), strict=True)
    assert net.compute(images(3, 8, 8)).shape == (5,)


def test_a_kernel_that_does_not_apply_a_folded_layer_is_passed_over(tmp_path: Path) -> None:
    bare, able = ToyKernel("Convolution", name="bare", seconds=0.1, folds=()), ToyKernel("Convolution", name="able")
    assert rows(net_with(tmp_path / "both", [bare, able]))["conv"].kernel == "able"


def test_where_no_kernel_applies_what_was_folded_the_layers_run_one_by_one(tmp_path: Path) -> None:
    kernels = [ToyKernel(layer, folds=()) for layer in ALL]
    net = net_with(tmp_path, kernels, strict=True)
    x = images(2, 3, 8, 8)
    expected = Net(tmp_path / "net.netfile").compute(x)
    np.testing.assert_allclose(net.compute(x), expected, atol=1e-6)
    placed = rows(net)
    assert placed["conv"].folded == ()
    assert placed["conv"].why.endswith("no kernel here applies relu, which runs by itself")
    assert "relu folded into conv" not in net.plan.notes
    assert (placed["relu"].backend, placed["relu"].kernel) == ("toy", "toy")


def residual_net(folder: Path, *kernels: Kernel, **options: Any) -> Net:
    """Return a net of a convolution whose result is added to its input, with a ReLU before and one after."""
    layers = [
        layer("Convolution", "conv"),
        layer("ReLU", "inner"),
        layer("Eltwise", "add", bottom=["data", "inner"]),
        layer("ReLU", "outer"),
    ]
    path = write_network(folder, layers, {"conv": filters(0, 2, 2, 1, 1)}, inputs=[InputBlock("data", (2, 3, 3))])
    return Net(path, plugins=host_with_backends([ToyBackend()], kernels), **options)


@pytest.mark.parametrize(
    ("folds", "expected"),
    [
        (("ReLU", "Eltwise"), ["conv + inner + add + outer"]),
        (("ReLU",), ["conv + inner", "add + outer"]),
        ((), ["conv", "inner", "add + outer"]),
    ],
)
def test_a_kernel_is_given_as_much_of_what_was_folded_as_it_applies(
    tmp_path: Path, folds: tuple[str, ...], expected: list[str]
) -> None:
    kernels = [ToyKernel("Convolution", folds=folds), ToyKernel("Eltwise"), ToyKernel("ReLU", folds=())]
    net = residual_net(tmp_path, *kernels, strict=True)
    x = images(2, 2, 3, 3)
    weights = filters(0, 2, 2, 1, 1)
    inner = np.maximum(np.einsum("oc,ncij->noij", weights["weight"][..., 0, 0], x) + weights["bias"][:, None, None], 0)
    np.testing.assert_allclose(net.compute(x), np.maximum(x + inner, 0), atol=1e-6)
    assert [row.title for row in net.plan.rows] == expected
    assert [note for note in net.plan.notes if "folded into" in note] == [
        f"{name} folded into {first}" for title in expected for first, *names in [title.split(" + ")] for name in names
    ]


def test_a_residual_lies_in_the_layout_of_the_output_to_which_it_is_added(tmp_path: Path) -> None:
    kernels = [ToyKernel("Convolution", gives="NHWC", folds=("ReLU", "Eltwise"))]
    net = residual_net(tmp_path, *kernels)
    x = images(2, 2, 3, 3)
    np.testing.assert_allclose(net.compute(x), residual_net(tmp_path / "plain").compute(x), atol=1e-6)
    assert [row.layer for row in net.plan.rows] == ["reorder data to NHWC", "conv", "reorder outer to NCHW"]


def test_a_layer_without_any_kernel_keeps_what_was_folded_into_it(tmp_path: Path) -> None:
    net = net_with(tmp_path, [ToyKernel("ReLU")])
    placed = rows(net)
    assert "relu folded into conv" in net.plan.notes
    assert placed["conv"].folded == ("relu",)
    assert placed["conv"].fallback


@pytest.mark.parametrize(("mode", "hint"), [("sequental", "did you mean 'sequential'?"), ("cuda", "parallel")])
def test_an_unknown_mode_lists_what_is_installed(tmp_path: Path, mode: str, hint: str) -> None:
    net = net_with(tmp_path, [], sequential=True, execution_mode=mode)
    with pytest.raises(PlacementError, match="one of the installed backends: sequential, toy") as caught:
        net.compute(images(3, 8, 8))
    assert f"no backend is named {mode!r}" in str(caught.value)
    assert hint in str(caught.value)


def test_a_mode_that_is_like_no_other_gets_no_guess(tmp_path: Path) -> None:
    net = net_with(tmp_path, [], sequential=True, execution_mode="nope")
    with pytest.raises(PlacementError) as caught:
        net.compute(images(3, 8, 8))
    assert "did you mean" not in str(caught.value)


TWO = [Device("toy", "Left 1"), Device("toy", "Right 2"), Device("toy", "Broken", problem="its driver is too old")]


@pytest.mark.parametrize(
    ("device", "chosen"),
    [("right 2", "Right 2"), ("LEFT 1", "Left 1"), ("toy:Right 2", "Right 2"), ("toy", "Left 1"), (None, "Left 1")],
)
def test_a_device_is_chosen_by_name_or_by_its_backends(tmp_path: Path, device: str | None, chosen: str) -> None:
    net = net_with(tmp_path, [ToyKernel("Convolution")], backends=[ToyBackend(devices=TWO)], device=device)
    assert rows(net)["conv"].device == chosen


@pytest.mark.parametrize(
    ("device", "chosen"),
    [
        ("first", {"first"}),  # alone, and the first of its backend
        ("other", {"other"}),
        ("toy", {"first"}),
        (None, {"beside"}),
    ],
)
def test_a_device_that_computes_alone_shares_no_network(tmp_path: Path, device: str | None, chosen: set[str]) -> None:
    """A phone, for one: half a network there and half of it here would be a surprise."""
    devices = [Device("toy", name, alone=True) for name in ("first", "other")]
    backends = [ToyBackend(devices=devices), ToyBackend("aside", [Device("aside", "beside")])]
    kernels = [ToyKernel(layer, backend=name) for layer in ALL for name in ("toy", "aside")]
    net = net_with(tmp_path, kernels, backends=backends, device=device)
    net.compute(images(1, 3, 8, 8))
    assert {row.device for row in net.plan.rows if row.segment >= 0} == chosen


def test_an_unknown_device_lists_those_in_sight(tmp_path: Path) -> None:
    net = net_with(tmp_path, [], backends=[ToyBackend(devices=TWO)], device="Middle")
    with pytest.raises(PlacementError, match=r"named 'Middle'.* in sight: toy:Left 1, toy:Right 2, toy:Broken"):
        net.prepare()


def test_a_device_that_cannot_be_used_says_why(tmp_path: Path) -> None:
    net = net_with(tmp_path, [], backends=[ToyBackend(devices=TWO)], device="broken")
    with pytest.raises(PlacementError, match="toy:Broken: its driver is too old"):
        net.prepare()
    unseen = Device("toy", "-", problem="its driver is not installed")
    net = net_with(tmp_path, [], backends=[ToyBackend(devices=[unseen])])
    with pytest.raises(PlacementError, match=r"in mode 'parallel': toy: its driver is not installed$"):
        net.prepare()
    none = net_with(tmp_path, [], backends=[ToyBackend(devices=[])])
    with pytest.raises(PlacementError, match="no backend sees a device"):
        none.prepare()


def test_an_unusable_device_is_passed_over(tmp_path: Path) -> None:
    net = net_with(tmp_path, [ToyKernel("Convolution")], backends=[ToyBackend(devices=TWO[::-1])])
    assert rows(net)["conv"].device == "Right 2"


def test_the_plan_is_plain_data_for_json(tmp_path: Path) -> None:
    import json

    plan = Net(write_chain(tmp_path)).plan
    data = json.loads(json.dumps(plan.to_dict()))
    assert [row["layer"] for row in data["rows"]] == ["conv", "pool", "flat", "scores", "prob"]
    assert data["rows"][0]["folded"] == ["relu"]
    assert data["rows"][0]["output"] == [1, 4, 8, 8]
    assert data["rows"][0]["flops"] >= 2 * 27 * 4 * 64
    assert data["memory"]["peak"] == plan.memory.peak > 0
    assert data["inputs"] == {"data": [1, 3, 8, 8]}


def test_the_printed_plan_has_a_line_for_each_layer_with_what_was_folded_into_it(tmp_path: Path) -> None:
    text = str(Net(write_chain(tmp_path)).plan)
    assert "conv + relu" in text
    assert "note: drop dropped: Dropout does nothing in inference" in text
    assert "memory: peak" in text


def test_a_kernel_that_fails_is_named_with_its_layer(tmp_path: Path) -> None:
    class Failing(ToyKernel):
        def bind(self, call: Any) -> Any:
            def run(*_: Any) -> None:
                raise IndexError("list index out of range")

            return run

    net = net_with(tmp_path, [Failing("Softmax")])
    with pytest.raises(Exception, match="layer 'prob': kernel 'toy' of backend 'toy' failed: IndexError") as caught:
        net.compute(images(3, 8, 8))
    assert isinstance(caught.value.__cause__, IndexError)


def test_a_reference_computes_what_a_strangers_layer_has_no_kernel_for(tmp_path: Path) -> None:
    host = host_with_backends([ToyBackend()], [])
    net = Net(write_text(tmp_path, 'layer { type: "LRN" name: "n" }'), plugins=host)
    expected = Net(tmp_path / "net.netfile").compute(images(2, 8, 4, 4))
    np.testing.assert_allclose(net.compute(images(2, 8, 4, 4)), expected, rtol=1e-5)
    (row,) = net.plan.rows
    assert row.fallback


def test_a_kernel_that_cannot_pack_its_weights_is_named_with_its_layer(tmp_path: Path) -> None:
    class Clumsy(ToyKernel):
        def pack(self, call: LayerCall, weights: Mapping[str, Array]) -> Packed:
            raise ZeroDivisionError("no room")

    net = net_with(tmp_path, [Clumsy("Convolution")])
    with pytest.raises(CnnrtError, match=r"layer 'conv': kernel 'toy' .* cannot pack .*no room") as caught:
        net.prepare((1, 3, 8, 8))
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
