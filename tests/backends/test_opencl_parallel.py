"""`"parallel"` with a graphics card: what is shared out between it and the processor, and what passes between them.

The card is PoCL, which says of itself that it is one with memory of its own: where values are is as it would be there,
times are not.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pyopencl", reason="the OpenCL backend needs pyopencl")

from cnnrt import Net
from cnnrt.plugins import PluginHost
from cnnrt_backend_opencl import segment
from cnnrt_backend_opencl.backend import OpenCLBackend
from cnnrt_backend_opencl.cost_model import passage_seconds
from cnnrt_backend_opencl.kernel_list import opencl_kernels
from cnnrt_backend_opencl.limits import Limits, OpenCLDevice
from core_suite.small_networks import filters, images, write_network
from netfile_spec import InputBlock, layer
from opencl_suite.drivers import CardDriver
from opencl_suite.kernels import host_with

LAYERS = (
    layer("Convolution", "conv", bottom="data", pad=1),
    layer("Pooling", "pool", bottom="conv", kernel_size=2, stride=2),
    layer("Convolution", "left", bottom="pool"),
    layer("Convolution", "right", bottom="pool", pad=1),
    layer("Concat", "both", bottom=["left", "right"]),
    layer("FullyConnected", "scores", bottom="both"),
    layer("Softmax", "prob", bottom="scores"),
)
WEIGHTS = {
    "conv": filters(0, 8, 3, 3, 3),
    "left": filters(1, 4, 8, 1, 1),
    "right": filters(2, 8, 8, 3, 3),
    "scores": filters(3, 5, 12 * 36),
}


@pytest.fixture(scope="module")
def host() -> PluginHost:
    return host_with(OpenCLBackend(CardDriver()), *opencl_kernels())


@pytest.fixture
def passing(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What passes into segments and out of them: "in" or "out" for each slot, as they are compiled."""
    seen: list[str] = []
    original = segment.transfer_for

    def noted(session: Any, slot: int, nbytes: int, read: bool, written: bool, *others: Any) -> Any:
        seen.extend(["in"] * read + ["out"] * written)
        return original(session, slot, nbytes, read, written, *others)

    monkeypatch.setattr(segment, "transfer_for", noted)
    return seen


def net_of(folder: Path, host: PluginHost, **options: Any) -> Net:
    path = write_network(folder, LAYERS, WEIGHTS, inputs=[InputBlock("data", (3, 12, 12))])
    return Net(path, plugins=host, **options)


def test_small_layers_are_not_worth_their_transfers(tmp_path: Path, host: PluginHost) -> None:
    net = net_of(tmp_path, host)
    assert net.plan.backends == ("sequential",)
    assert "all on the host: " in net.plan.notes[-1]
    assert "; all on opencl:" in net.plan.notes[-1]


def test_a_card_that_gains_more_gets_them_all(
    tmp_path: Path, host: PluginHost, monkeypatch: pytest.MonkeyPatch, passing: list[str]
) -> None:
    for kernel in host.kernels().values():
        if kernel.backend == "sequential":
            monkeypatch.setattr(type(kernel), "estimate", lambda *_: 1.0)
    net = net_of(tmp_path, host)
    assert net.plan.backends == ("opencl",)
    assert " of it transfers" in net.plan.notes[-1]
    x = images(2, 3, 12, 12)
    net.prepare(x.shape)
    passing.clear()  # what verifying took
    expected = net_of(tmp_path, host, execution_mode="sequential").compute(x)
    np.testing.assert_allclose(net.compute(x), expected, atol=1e-5)
    assert passing == ["in", "out"]


@pytest.mark.parametrize(
    "apart",
    [
        {"conv", "left", "right"},
        {"pool", "right"},
        {"left", "both", "prob"},
        {"conv", "right", "scores"},
        {"left", "right", "both"},
        {"pool", "left", "right", "scores"},
    ],
    ids=lambda names: " ".join(sorted(names)),
)
def test_however_layers_are_shared_out_the_result_is_the_same(
    tmp_path: Path, host: PluginHost, apart: set[str]
) -> None:
    plans = {mode: net_of(tmp_path, host, execution_mode=mode).plan.to_dict() for mode in ("sequential", "opencl")}
    rows = {mode: {row["layer"]: row for row in plan["rows"]} for mode, plan in plans.items()}
    layers = rows["sequential"].keys() & rows["opencl"].keys()
    pinned = {"rows": [rows["opencl" if name in apart else "sequential"][name] for name in sorted(layers)]}
    pinned["rows"] = [row for row in pinned["rows"] if row["kernel"] != "view"]
    net = net_of(tmp_path, host, plan=pinned)
    x = images(2, 3, 12, 12)
    wanted = ["prob", "right"]
    found = net.compute(x, outputs=wanted)
    expected = net_of(tmp_path, host, execution_mode="sequential").compute(x, outputs=wanted)
    assert {row.layer for row in net.plan.rows if row.backend == "opencl"} >= apart - {"both"}
    for name in wanted:
        np.testing.assert_allclose(found[name], expected[name], atol=1e-5)


def test_what_a_segment_makes_itself_is_not_brought_to_it(tmp_path: Path, host: PluginHost, passing: list[str]) -> None:
    net = net_of(tmp_path, host, execution_mode="opencl")
    net.compute(images(1, 3, 12, 12), outputs=["pool", "prob"])
    passing.clear()  # what verifying took
    net.close()
    net_of(tmp_path, host, execution_mode="opencl").compute(images(1, 3, 12, 12), outputs=["pool", "prob"])
    assert sorted(passing) == ["in", "out", "out"]


def test_moving_values_takes_time_and_mapping_them_hardly_any() -> None:
    card, shared = (OpenCLDevice("opencl", "x", limits=Limits(shares_memory=shares)) for shares in (False, True))
    assert passage_seconds(card, 10**8) - passage_seconds(card, 0) == pytest.approx(0.01)
    assert 0 < passage_seconds(card, 0) < 1e-3
    assert 0 < passage_seconds(shared, 10**8) == passage_seconds(shared, 0) < passage_seconds(card, 0)
