"""Verification: compiled kernels are checked on the device before they are first used, and liars are never used."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnnrt import Net
from cnnrt.backend import HostFunction, Kernel, Packed
from cnnrt.errors import KernelWarning, PlacementError
from cnnrt.kernel_verification import places_of
from cnnrt.layer import Array, Shape
from cnnrt.layer_call import LayerCall
from cnnrt.plan import PlanRow
from cnnrt.tuning.store import Store, default_store
from cnnrt_layers import Convolution
from core_suite.plugins_in_memory import host_with_backends
from core_suite.small_networks import CHAIN, filters, images, write_chain, write_network
from core_suite.toy_backend import ToyBackend, ToyKernel
from core_suite.tunable_kernels import CompiledKernel
from netfile_spec import InputBlock, layer


@pytest.fixture(autouse=True)
def fresh_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CNNRT_CACHE", str(tmp_path / "cache"))


def net_with(folder: Path, kernels: Sequence[Kernel], **options: Any) -> Net:
    others = [ToyKernel(kind) for kind in ("Pooling", "FullyConnected", "Softmax")]
    host = host_with_backends([ToyBackend()], [*kernels, *others])
    return Net(write_chain(folder / "net"), plugins=host, **options)


def conv(net: Net) -> PlanRow:
    return next(row for row in net.plan.rows if row.layer == "conv")


def forget_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the store be read anew, as another process would."""
    monkeypatch.setattr("cnnrt.tuning.store._stores", {})


def test_a_kernel_that_computes_rightly_is_verified_once_for_each_shape(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = CompiledKernel("Convolution")
    net = net_with(tmp_path, [kernel])
    net.prepare((2, 3, 8, 8))
    assert kernel.calls == 1
    net.compute(images(2, 3, 8, 8))
    assert kernel.calls == 2
    forget_process(monkeypatch)
    again = net_with(tmp_path / "again", [kernel])
    again.prepare((2, 3, 8, 8))
    assert kernel.calls == 2, "a later start pays nothing"
    again.prepare((3, 3, 8, 8))
    assert kernel.calls == 3, "its code is made for each shape"


def test_planning_alone_verifies_nothing(tmp_path: Path) -> None:
    kernel = CompiledKernel("Convolution")
    net_with(tmp_path, [kernel]).plan_for((2, 3, 8, 8))
    assert kernel.calls == 0


def test_a_kernel_that_is_not_compiled_is_not_verified(tmp_path: Path) -> None:
    kernel = ToyKernel("Convolution")
    net_with(tmp_path, [kernel]).prepare((2, 3, 8, 8))
    assert kernel.calls == 0


def scale_all(output: Array) -> None:
    output *= np.float32(1.0001)


def spoil_last_row(output: Array) -> None:
    output[:, :, -1] += np.float32(0.5)


def spoil_last_channel(output: Array) -> None:
    output[:, -1] = 0


def spoil_last_image(output: Array) -> None:
    output[-1] *= np.float32(2)


def spoil_one_corner(output: Array) -> None:
    output[-1, -1, -1, -1] += np.float32(1)


def leave_one_unwritten(output: Array) -> None:
    output[1, 2, 3, 4] = np.nan


def half_precision(output: Array) -> None:
    output[...] = output.astype(np.float16)


def crash(output: Array) -> None:
    raise RuntimeError("illegal instruction")


LIES = [
    scale_all,
    spoil_last_row,
    spoil_last_channel,
    spoil_last_image,
    spoil_one_corner,
    leave_one_unwritten,
    half_precision,
    crash,
]


@pytest.mark.parametrize("lie", LIES, ids=[lie.__name__ for lie in LIES])
def test_a_kernel_that_lies_is_reported_and_the_next_one_computes(
    tmp_path: Path, lie: Callable[[Array], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    liar, honest = CompiledKernel("Convolution", lie, name="liar", seconds=0.1), ToyKernel("Convolution", name="honest")
    net = net_with(tmp_path, [liar, honest])
    expected = Net(net.netfile, root_directory=tmp_path / "net").compute(images(2, 3, 8, 8))
    with pytest.warns(KernelWarning) as caught:
        got = net.compute(images(2, 3, 8, 8))
    np.testing.assert_allclose(got, expected, atol=1e-6)
    (warning,) = caught
    for told in ("layer 'conv'", "'toy/liar'", "toy:toy0", "computes wrongly"):
        assert told in str(warning.message)
    assert conv(net).kernel == "honest"
    assert "toy/liar is quarantined: " in conv(net).why
    assert honest.calls == 1
    before = liar.calls
    forget_process(monkeypatch)
    later = net_with(tmp_path / "later", [liar, honest])
    later.compute(images(5, 3, 8, 8))  # no warning, and for no shape
    assert liar.calls == before
    assert conv(later).kernel == "honest"


def test_the_report_says_how_far_off_it_is_and_where(tmp_path: Path) -> None:
    liar = CompiledKernel("Convolution", spoil_one_corner, name="liar", seconds=0.1)
    net = net_with(tmp_path, [liar, ToyKernel("Convolution", name="honest")])
    with pytest.warns(KernelWarning, match=r"at \(1, 3, 7, 7\) it gives \S+, expected \S+ within \S+; 1 of \d+ values"):
        net.prepare((2, 3, 8, 8))


class ForgetsResidual(CompiledKernel):
    """Computes a convolution, and adds nothing."""

    def bind(self, call: LayerCall) -> HostFunction:
        compute = super().bind(call)

        def run(inputs: Sequence[Array], outputs: Sequence[Array], weights: Packed, workspace: Array) -> None:
            compute([inputs[0], np.zeros_like(inputs[1])], outputs, weights, workspace)

        return run


@pytest.mark.parametrize(("kernel", "found"), [(CompiledKernel, 0), (ForgetsResidual, 1)])
def test_a_kernel_that_adds_a_residual_is_verified_with_one(
    tmp_path: Path, kernel: type[CompiledKernel], found: int
) -> None:
    layers = [
        layer("Convolution", "conv"),
        layer("Eltwise", "add", bottom=["data", "conv"]),
        layer("ReLU", "relu", negative_slope=0.5),
    ]
    path = write_network(tmp_path, layers, {"conv": filters(0, 3, 3, 1, 1)}, inputs=[InputBlock("data", (3, 4, 5))])
    tried = kernel("Convolution", name="tried", folds=("Eltwise", "ReLU"))
    host = host_with_backends([ToyBackend()], [tried, ToyKernel("Eltwise")])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        net = Net(path, plugins=host)
        net.prepare((2, 3, 4, 5))
    assert tried.calls == 1
    assert [w.category for w in caught] == [KernelWarning] * found
    assert [row.fallback for row in net.plan.rows] == [bool(found)]


def test_without_another_kernel_the_reference_runs(tmp_path: Path) -> None:
    net = net_with(tmp_path, [CompiledKernel("Convolution", spoil_last_row, name="liar")])
    with pytest.warns(KernelWarning):
        net.prepare((2, 3, 8, 8))
    assert (conv(net).kernel, conv(net).fallback) == ("reference", True)
    assert "toy/liar is quarantined" in conv(net).why


def test_strict_makes_it_an_error(tmp_path: Path) -> None:
    kernels = [CompiledKernel("Convolution", spoil_last_row, name="liar", seconds=0.1), ToyKernel("Convolution")]
    net = net_with(tmp_path, kernels, strict=True)
    with pytest.raises(PlacementError, match=r"(?s)strict.*layer 'conv': kernel 'toy/liar' computes wrongly"):
        net.compute(images(2, 3, 8, 8))


def test_a_quarantine_ends_when_the_source_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    liar = CompiledKernel("Convolution", spoil_last_row, name="kernel")
    with pytest.warns(KernelWarning):
        net_with(tmp_path, [liar]).prepare((2, 3, 8, 8))
    monkeypatch.setattr("cnnrt.backend.source_digest", lambda module: "corrected")
    net = net_with(tmp_path / "later", [CompiledKernel("Convolution", name="kernel")])
    net.prepare((2, 3, 8, 8))
    assert conv(net).kernel == "kernel"


def test_a_liar_is_quarantined_even_where_nothing_can_be_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = Store(None)
    monkeypatch.setattr("cnnrt.prepared_networks.default_store", lambda: nowhere)
    liar, honest = (
        CompiledKernel("Convolution", crash, name="liar", seconds=0.1),
        ToyKernel("Convolution", name="honest"),
    )
    net = net_with(tmp_path, [liar, honest])
    with pytest.warns(KernelWarning):
        net.prepare((2, 3, 8, 8))
    net.prepare((4, 3, 8, 8))
    assert conv(net).kernel == "honest"


@pytest.mark.parametrize("value", [None, 5, [], {}, {"problem": 3}, "text"])
def test_a_quarantine_of_the_wrong_form_counts_for_nothing(tmp_path: Path, value: Any) -> None:
    from cnnrt.tuning.key import kernel_key

    kernel = CompiledKernel("Convolution")
    default_store().put("quarantine", kernel_key(kernel, ToyBackend().devices()[0]), value)
    net = net_with(tmp_path, [kernel])
    net.prepare((2, 3, 8, 8))
    assert conv(net).kernel == "toy"


def test_layers_of_every_kind_pass_where_the_kernel_is_right(tmp_path: Path) -> None:
    kernels = [
        CompiledKernel(kind) for kind in ("Convolution", "Pooling", "FullyConnected", "Softmax", "Eltwise", "LRN")
    ]
    host = host_with_backends([ToyBackend()], kernels)
    net = Net(
        write_network(tmp_path / "n", CHAIN, {"conv": filters(1, 4, 3, 3, 3), "scores": filters(2, 5, 64)}),
        plugins=host,
    )
    net.prepare((16, 3, 8, 8))
    assert net.plan.fallbacks == ()


def test_where_the_reference_takes_no_random_numbers_nothing_is_told_of_the_kernel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any) -> None:
        raise IndexError("label 3.7")

    monkeypatch.setattr(Convolution, "parts_at", fail)
    kernel = CompiledKernel("Convolution", crash)
    net = net_with(tmp_path, [kernel])
    net.prepare((2, 3, 8, 8))
    assert conv(net).kernel == "toy"
    assert "toy/toy cannot be verified" in caplog.text
    assert default_store().facts("verification", "quarantine") == []


@pytest.mark.parametrize("shape", [(2, 3, 8, 8), (1, 1, 1, 1), (16, 1000), (5,), (64, 96, 55, 55)])
def test_a_few_dozen_places_are_looked_at_corners_and_last_ones_among_them(shape: Shape) -> None:
    places = places_of(shape)
    assert len(set(places)) == len(places) <= 90
    assert all(0 <= i < size for place in places for i, size in zip(place, shape, strict=True))
    assert {(0,) * len(shape), tuple(size - 1 for size in shape)} <= set(places)
    assert places_of((0, *shape[1:])) == []
