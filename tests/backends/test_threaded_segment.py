"""A segment of the threaded backend in a network: plan, streamed weights, profiles, layouts, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("llvmlite", reason="the threaded backend needs llvmlite")

from cnnrt import Net
from cnnrt.backend import BufferSpec, HostFunction, HostKernel, Segment, Step
from cnnrt.errors import CnnrtError
from cnnrt.kernel_trial import Resident
from cnnrt.layer_call import LayerCall
from cnnrt.plugins import PluginHost, plugin_host
from cnnrt.tensor import TensorType
from cnnrt.testing.case import make_case
from cnnrt.testing.offered import offered
from cnnrt_backend_threaded.backend import ThreadedBackend
from cnnrt_backend_threaded.emitter import Code
from cnnrt_backend_threaded.kernels import threaded_kernels
from cnnrt_backend_threaded.relu import Rectify
from cnnrt_layers import FullyConnected, ReLU
from core_suite.ceilings import stream_everything
from core_suite.small_networks import filters, images, write_network
from netfile_spec import layer

LAYERS = [
    layer("Convolution", "conv", pad=1),
    layer("ReLU", "relu"),
    layer("Pooling", "pool", kernel_size=2, stride=2),
    layer("FullyConnected", "ip1"),
    layer("FullyConnected", "ip2"),
    layer("Softmax", "prob"),
]
WEIGHTS = {"conv": filters(0, 20, 3, 3, 3), "ip1": filters(1, 50, 20 * 6 * 6), "ip2": filters(2, 10, 50)}


@pytest.fixture
def netfile(tmp_path: Path) -> Path:
    return write_network(tmp_path, LAYERS, WEIGHTS)


def host() -> PluginHost:
    layers = list(plugin_host().layers().values())
    return offered(layers=layers, backends=[ThreadedBackend()], kernels=threaded_kernels())


def threaded(netfile: Path, **options: object) -> Net:
    return Net(netfile, execution_mode="threaded", plugins=host(), **options)  # type: ignore[arg-type]


def test_a_whole_network_is_one_segment_whatever_layouts_change_inside(netfile: Path) -> None:
    net = threaded(netfile, strict=True)
    net.prepare((4, 3, 12, 12))
    rows = net.plan.rows
    assert {(row.backend, row.segment) for row in rows} == {("threaded", 0)}
    assert [row.layer for row in rows if row.type == "Reorder"] == ["reorder data to NHWC"]


def test_images_of_one_channel_change_their_layout_by_name_only(tmp_path: Path) -> None:
    weights = {**WEIGHTS, "conv": filters(0, 20, 1, 3, 3)}
    net = threaded(write_network(tmp_path, LAYERS, weights))
    x = images(2, 1, 12, 12)
    np.testing.assert_allclose(net.compute(x), Net(net.netfile, execution_mode="sequential").compute(x), atol=1e-6)
    assert [row.kernel for row in net.plan.rows if row.type == "Reorder"] == ["view"]


def test_weights_that_do_not_stay_are_read_for_each_call(netfile: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x = images(3, 3, 12, 12)
    expected = threaded(netfile).compute(x)
    stream_everything(monkeypatch)
    net = threaded(netfile)
    for _ in range(3):
        assert np.array_equal(net.compute(x), expected)
    read = {row.layer for row in net.plan.rows if not row.resident}
    assert read
    assert read == {times.layer for times in net.profile(x).layers if times.load_seconds > 0}


def test_a_profile_has_a_time_for_each_step_and_changes_no_result(netfile: Path) -> None:
    net, x = threaded(netfile), images(2, 3, 12, 12)
    expected = net.compute(x)
    profile = net.profile(x)
    assert [t.layer for t in profile.layers] == [r.layer.partition(" + ")[0] for r in net.plan.rows]
    assert all(t.run_seconds > 0 for t in profile.layers)
    assert np.array_equal(net.compute(x), expected)


@pytest.mark.parametrize("value", ["conv", "relu", "pool", "ip1"])
def test_values_inside_come_out_in_the_plain_layout(netfile: Path, value: str) -> None:
    x = images(2, 3, 12, 12)
    expected = Net(netfile, execution_mode="sequential").compute(x, outputs=value)[value]
    np.testing.assert_allclose(threaded(netfile).compute(x, outputs=value)[value], expected, atol=1e-5)


def test_weights_are_packed_for_the_image_that_they_are_applied_to() -> None:
    """One parameter file, two layers: images of 2 × 6 and of 6 × 2 pixels hold as many values in another order."""
    (kernel,) = (k for k in threaded_kernels() if k.layer == "FullyConnected")
    cases = [make_case(FullyConnected(), [shape], {"weight": (5, 36)}) for shape in ((1, 3, 2, 6), (1, 3, 6, 2))]
    assert kernel.packing(cases[0].call) != kernel.packing(cases[1].call)


def segment(kernel: HostKernel | Rectify) -> tuple[Segment, list[BufferSpec]]:
    call = LayerCall(ReLU(), (TensorType((4,)),), (TensorType((4,)),))
    step = Step("rectify", call, kernel, (0,), (1,), Resident(()), 2)
    specs = [BufferSpec(t, None) for t in (*call.inputs, *call.outputs, TensorType((0,), "uint8"))]
    return Segment(0, ThreadedBackend().devices()[0], (step,)), specs


def test_a_kernel_of_another_kind_is_refused_by_name() -> None:
    class Stranger(HostKernel):
        layer, backend, name = "ReLU", "threaded", "stranger"

        def bind(self, call: LayerCall) -> HostFunction:
            raise NotImplementedError

    with pytest.raises(CnnrtError, match="layer 'rectify': kernel 'stranger' of backend 'threaded' is not a Native"):
        ThreadedBackend().compile(*segment(Stranger()), None)


def test_a_kernel_that_writes_wrong_code_is_named_with_its_layer() -> None:
    class Broken(Rectify):
        name = "broken"

        def emit(self, call: LayerCall, code: Code) -> None:
            raise ValueError("no such lane")

    with pytest.raises(CnnrtError, match=r"layer 'rectify': kernel 'broken' .* could not be compiled: .*no such lane"):
        ThreadedBackend().compile(*segment(Broken()), None)


def test_equal_calls_share_their_code() -> None:
    kernel = Rectify()
    calls = [LayerCall(ReLU(), (TensorType((n,)),), (TensorType((n,)),)) for n in (40, 40, 41)]
    first, second, third = (kernel.address(call, "rectify") for call in calls)
    assert first == second != third
