"""Weights kept in half precision on a device of OpenCL: half of the bytes, rounded once, computed with in float32."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest

pytest.importorskip("pyopencl", reason="the OpenCL backend needs pyopencl")

from hypothesis import HealthCheck, Phase, assume, given, settings

from cli_suite.command import answer, json_answer, run_cnnrt
from cnnrt import Net, convert
from cnnrt.backend import Kernel, Packed
from cnnrt.demo import demo_digits, demo_netfile
from cnnrt.errors import InputError, ParameterFileError, PlacementError
from cnnrt.kernel_verification import problem_of
from cnnrt.layer import Array
from cnnrt.layer_call import LayerCall
from cnnrt.plugins import plugin_host
from cnnrt.preprocessing import preprocessing
from cnnrt.testing.case import Case, make_case, with_weights_in
from cnnrt.testing.kernel_checks import assert_kernel_agrees, assert_statements_hold, cases_for, takes, usable_device
from cnnrt.testing.offered import offered
from cnnrt.testing.suite_of import layer_suite
from cnnrt.tuning.key import verification_key
from cnnrt_backend_opencl.backend import OpenCLBackend
from cnnrt_backend_opencl.convolution_gemm import GemmConvolution
from cnnrt_backend_opencl.fully_connected_rows import RowsFullyConnected
from cnnrt_backend_opencl.kernel_list import opencl_kernels
from core_suite.ceilings import stream_everything
from core_suite.small_networks import filters, images, write_network
from netfile_spec import layer
from opencl_suite.kernels import host_with

BACKEND = OpenCLBackend()
LAYERS = plugin_host().layers()
HALF = [kernel for kernel in opencl_kernels() if "float16" in kernel.weight_types]

CHAIN = (
    layer("Convolution", "conv1", pad=1, stride=2),
    layer("ReLU", "relu1"),
    layer("Convolution", "depthwise", group=7),
    layer("Convolution", "conv2", pad=1),
    layer("FullyConnected", "fc1"),
    layer("ReLU", "relu2"),
    layer("FullyConnected", "fc2"),
)
WEIGHTS = {
    "conv1": filters(1, 7, 3, 3, 3),
    "depthwise": filters(2, 7, 1, 2, 2),
    "conv2": filters(3, 12, 7, 3, 3),
    "fc1": filters(4, 33, 12 * 7 * 7),
    "fc2": filters(5, 10, 33),
}
BATCH = (3, 3, 15, 15)


HOST = host_with(BACKEND, *opencl_kernels())


@pytest.fixture(autouse=True)
def with_opencl(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cnnrt.net.plugin_host", lambda: HOST)


@pytest.fixture
def chain(tmp_path: Path) -> Path:
    return write_network(tmp_path, CHAIN, WEIGHTS, execution_mode="opencl")


def rounded(weights: dict[str, Array]) -> dict[str, Array]:
    """Return weights as half precision keeps them."""
    return {name: w if w.ndim < 2 else w.astype(np.float16).astype(np.float32) for name, w in weights.items()}


def test_matrices_and_filters_have_kernels_that_keep_them() -> None:
    assert {kernel.layer for kernel in HALF} >= {"Convolution", "FullyConnected"}


@pytest.mark.parametrize("kernel", HALF, ids=lambda kernel: f"{kernel.layer}/{kernel.name}")
def test_kernels_compute_with_weights_rounded_to_the_nearest(kernel: Kernel) -> None:
    """Within the bound of float32: rounding is done by then, and nothing else is in half precision."""
    device, suite, tried = usable_device(BACKEND), layer_suite(LAYERS[kernel.layer.lower()]), []

    @settings(
        max_examples=4, derandomize=True, deadline=None, phases=[Phase.generate], suppress_health_check=HealthCheck
    )
    @given(cases_for(kernel, suite.cases(), plugin_host()))
    def check(drawn: Case) -> None:
        case = with_weights_in(drawn, "float16")
        assume(takes(kernel, case.call, device))
        assert_statements_hold(kernel, case, device)
        assert_kernel_agrees(kernel, BACKEND, device, case, suite)
        exact = attrs.evolve(case, call=drawn.call)
        tried.append(kernel.packed_bytes(case.call) < kernel.packed_bytes(with_weights_in(exact, "float32").call))

    check()
    assert tried
    assert all(tried)


@pytest.mark.parametrize("kernel", HALF, ids=lambda kernel: f"{kernel.layer}/{kernel.name}")
def test_each_tile_keeps_them(kernel: Kernel) -> None:
    """One call, with the first and the last value of each tunable."""
    device = usable_device(BACKEND)
    if kernel.layer == "FullyConnected":
        made = make_case(LAYERS["fullyconnected"](), [(9, 37)], {"weight": (41, 37), "bias": (41,)})
    elif kernel.layer == "Deconvolution":
        made = make_case(LAYERS["deconvolution"](pad=1), [(1, 16, 6, 5)], {"weight": (16, 32, 3, 3), "bias": (32,)})
    elif kernel.name == "depthwise":
        made = make_case(LAYERS["convolution"](group=24), [(1, 24, 6, 5)], {"weight": (24, 1, 3, 3)})
    else:
        made = make_case(LAYERS["convolution"](pad=1), [(1, 16, 6, 5)], {"weight": (32, 16, 3, 3), "bias": (32,)})
    case = with_weights_in(made, "float16")
    tunables = kernel.tunables(case.call, device)
    variants = [{t.name: t.values[end] for t in tunables} for end in (0, -1)]
    allowed = [v for v in variants if kernel.allows(case.call, v)]
    for tuning in allowed[-1:] or [{}]:
        assert_kernel_agrees(kernel.tuned(tuning), BACKEND, device, case, layer_suite(LAYERS[kernel.layer.lower()]))


class WithoutOwnType(RowsFullyConnected):
    """As compilers see it that know no type of halves but OpenCL's."""

    def text(self) -> str:
        text = super().text()
        assert "defined(__F16C__)" in text
        return text.replace("defined(__F16C__)", "0").replace("defined(__ARM_FP16_FORMAT_IEEE)", "0")


@pytest.mark.parametrize("kernel", [RowsFullyConnected(), WithoutOwnType()], ids=["the compiler's", "vload_half"])
@pytest.mark.parametrize("features", [37, 38, 40])
def test_halves_are_read_by_the_compilers_type_or_by_vload_half(kernel: Kernel, features: int) -> None:
    """One by one, in pairs, and four at a time; the smallest ones too, which are no normal numbers."""
    made = make_case(LAYERS["fullyconnected"](), [(2, features)], {"weight": (5, features)}, scale=1e-5)
    case = with_weights_in(made, "float16")
    assert_kernel_agrees(kernel, BACKEND, usable_device(BACKEND), case, layer_suite(LAYERS["fullyconnected"]))


def test_a_network_computes_as_if_its_files_held_rounded_weights(chain: Path, tmp_path: Path) -> None:
    """No value but the weights is rounded: with the same kernels, results are the same."""
    already = {name: rounded(weights) for name, weights in WEIGHTS.items()}
    other = write_network(tmp_path / "rounded", CHAIN, already, execution_mode="opencl")
    x = images(*BATCH)
    with Net(chain, weight_storage="float16", strict=True) as net:
        got, plan = net.compute(x), net.plan
    with Net(other, plan=plan) as net:
        expected = net.compute(x)
        assert [row.kernel for row in net.plan.rows] == [row.kernel for row in plan.rows]
    with Net(chain, plan=plan) as net:
        exact = net.compute(x)
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-6 * np.abs(expected).max())
    assert 1e-5 < np.abs(got - exact).max() / np.abs(exact).max() < 4 * 2.0**-11


UNIT = 2.0**-11
"""Unit roundoff of half precision: how far a weight is moved, at most and by its size."""


def test_a_trained_network_reads_the_same_digits() -> None:
    """The demo's: values before the softmax move by no more than a roundoff for each of its four layers of weights."""
    reader = preprocessing(Net(demo_netfile()).netfile.inputs[0], demo_netfile().parent)
    digits = np.stack([reader.load(file) for _, file in demo_digits()])
    results = []
    for storage in ("float32", "float16"):
        with Net(demo_netfile(), execution_mode="opencl", weight_storage=storage, strict=True) as net:
            results.append(net.compute(digits, outputs=["fc2", "prob"]))
    whole, half = results
    assert np.array_equal(whole["prob"].argmax(axis=1), half["prob"].argmax(axis=1))
    assert 1e-5 < np.abs(half["fc2"] - whole["fc2"]).max() / np.abs(whole["fc2"]).max() < 4 * UNIT
    assert np.square(half["prob"] - whole["prob"]).mean() < UNIT**2


def test_a_network_of_caffes_reads_all_of_500_digits(tmp_path: Path, shared_folder: Path) -> None:
    folder = shared_folder / "models" / "caffe-lenet-mnist"
    convert([folder / "lenet.prototxt", folder / "lenet_iter_10000.caffemodel"], tmp_path / "lenet")
    digits = np.load(folder / "mnist500.npz")
    pixels = digits["images"][:, np.newaxis].astype(np.float32) / 256
    reference = np.load(folder / "reference.npz")
    with Net(tmp_path / "lenet" / "net.netfile", execution_mode="opencl", weight_storage="float16", strict=True) as net:
        assert (net.compute(pixels).argmax(axis=1) == digits["labels"]).all()
        got = net.compute(reference["input"], outputs=["ip2", "prob"])
    assert np.abs(got["ip2"] - reference["ip2"]).max() < 4 * UNIT * np.abs(reference["ip2"]).max()
    assert np.square(got["prob"] - reference["prob"]).mean() < UNIT**2


def test_the_plan_says_it_and_counts_half_of_the_bytes(chain: Path) -> None:
    half = Net(chain, weight_storage="float16").plan_for(BATCH)
    pinned = Net(chain, plan=half).plan_for(BATCH)
    weighty = [row for row in half.rows if row.weight_bytes]
    assert {row.weight_type for row in weighty} == {"float16"}
    assert {row.weight_type for row in pinned.rows if row.weight_bytes} == {"float32"}
    for row, whole in zip(half.rows, pinned.rows, strict=True):
        assert row.kernel == whole.kernel
        assert row.weight_bytes < 0.75 * whole.weight_bytes or not row.weight_bytes
    assert half.memory.resident < 0.55 * pinned.memory.resident
    assert half.memory.loading < pinned.memory.loading
    assert "weights of 5 layers are rounded to float16 and kept in it; arithmetic is in float32" in half.notes
    assert "weights=float16" in str(half)
    assert "float16" not in str(pinned)


def test_it_is_off_unless_asked_for(chain: Path) -> None:
    net = Net(chain)
    assert net.settings.weight_storage == "float32"
    assert {row.weight_type for row in net.plan_for(BATCH).rows} == {"float32", ""}


def test_a_netfile_may_ask_and_the_caller_has_the_last_word(tmp_path: Path) -> None:
    path = write_network(tmp_path, CHAIN, WEIGHTS, execution_mode="opencl", weight_storage="float16")
    assert 'weight_storage: "float16"' in path.read_text()
    assert Net(path).settings.weight_storage == "float16"
    assert Net(path, weight_storage="float32").settings.weight_storage == "float32"


@pytest.mark.parametrize("mode", ["sequential", "parallel"])
def test_backends_without_such_kernels_refuse(chain: Path, mode: str) -> None:
    net = Net(chain, execution_mode=mode, weight_storage="float16")
    with pytest.raises(PlacementError, match=r"no kernel of .*sequential.* keeps weights in float16; .*'opencl'"):
        net.prepare(BATCH)


def test_other_types_are_refused_by_name(chain: Path) -> None:
    wrong: Any
    for wrong in ("half", "bfloat16", 16):
        with pytest.raises(InputError, match='weight_storage: expected "float32" or "float16"'):
            Net(chain, weight_storage=wrong)


def test_a_weight_beyond_half_precision_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    weights = {**WEIGHTS, "fc2": {**WEIGHTS["fc2"], "weight": WEIGHTS["fc2"]["weight"] * np.float32(1e6)}}
    path = write_network(tmp_path, CHAIN, weights, execution_mode="opencl")
    with Net(path, weight_storage="float16") as net, pytest.raises(ParameterFileError) as caught:
        net.compute(images(*BATCH))
    assert "fc2.msg: weight holds values up to " in str(caught.value)
    assert "float16 ends at 65504" in str(caught.value)


def test_weights_that_do_not_stay_give_the_same_bits(
    chain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CNNRT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("cnnrt_backend_opencl.fully_connected.SLICE_BYTES", 1 << 12)
    x = images(*BATCH)
    with Net(chain, weight_storage="float16") as net:
        expected = net.compute(x)
    stream_everything(monkeypatch)
    with Net(chain, weight_storage="float16") as net:
        assert np.array_equal(net.compute(x), expected)
        assert np.array_equal(net.compute(x), expected)
        rows = [row for row in net.plan.rows if row.weight_bytes]
        assert {(row.resident, row.weight_type) for row in rows} == {(False, "float16")}


class OnlyWhole(GemmConvolution):
    """Convolutions that keep float32."""

    weight_types = ("float32",)


def test_layers_whose_kernels_cannot_are_told_of_and_refused_by_a_strict_net(tmp_path: Path) -> None:
    """Here only fully connected layers have a kernel that can."""
    kernels = [*(k for k in opencl_kernels() if k.layer != "Convolution"), OnlyWhole()]
    host = offered(layers=list(LAYERS.values()), backends=[BACKEND], kernels=kernels)
    path = write_network(tmp_path, CHAIN, WEIGHTS, execution_mode="opencl")
    rows = {r.layer: r for r in Net(path, weight_storage="float16", plugins=host).plan_for(BATCH).rows}
    assert rows["conv2"].weight_type == "float32"
    assert "its weights stay in float32: no kernel here keeps them in float16" in rows["conv2"].why
    assert rows["fc1"].weight_type == "float16"
    with pytest.raises(PlacementError, match=r"(?s)strict forbids keeping weights in float32 .*'conv2'") as caught:
        Net(path, weight_storage="float16", strict=True, plugins=host).plan_for(BATCH)
    assert "'fc1'" not in str(caught.value)


class Truncating(RowsFullyConnected):
    """Rounds towards zero: cuts off what half precision has no digits for."""

    def pack(self, call: LayerCall, weights: Mapping[str, Array]) -> Packed:
        cut = (weights["weight"].view(np.uint32) & np.uint32(0xFFFFE000)).view(np.float32)
        return super().pack(call, {**weights, "weight": cut})


def test_verification_sees_weights_that_are_rounded_otherwise() -> None:
    """At a real shape, by the bound of float32; and what is verified in one type is not for the other."""
    device = usable_device(BACKEND)
    whole = make_case(LAYERS["fullyconnected"](), [(1, 300)], {"weight": (40, 300), "bias": (40,)}).call
    half = with_weights_in(
        make_case(LAYERS["fullyconnected"](), [(1, 300)], {"weight": (40, 300), "bias": (40,)}), "float16"
    ).call
    assert problem_of(RowsFullyConnected(), BACKEND, device, half, None) == ""
    assert "values that were looked at are wrong" in (problem_of(Truncating(), BACKEND, device, half, None) or "")
    kernel = RowsFullyConnected()
    assert verification_key(kernel, device, whole, None) != verification_key(kernel, device, half, None)


def test_prepared_shapes_share_no_weights_of_another_type(chain: Path) -> None:
    """What is packed for one type is not handed to a kernel that reads the other, whoever shares it."""
    from cnnrt.weight_store import weights_key

    call = make_case(LAYERS["fullyconnected"](), [(1, 4)], {"weight": (4, 4)})
    keys = {weights_key(None, with_weights_in(call, t).call, RowsFullyConnected()) for t in ("float32", "float16")}
    assert len(keys) == 2


def test_the_command_line_says_what_it_keeps_and_what_that_costs(chain: Path) -> None:
    options = ("--input", ",".join(map(str, BATCH)), "--weight-storage", "float16")
    shown = json_answer("show", chain, *options)
    assert {row["weight_type"] for row in shown["plan"]["rows"] if row["weight_bytes"]} == {"float16"}
    assert "KiB float16" in answer("show", chain, *options)
    modes = ("--modes", "sequential,opencl")
    assert "all of them agree" in answer("compare", chain, *modes, *options, "--tolerance", "0.002")
    assert run_cnnrt("compare", chain, *modes, *options).exit_code == 1
