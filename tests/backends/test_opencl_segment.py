"""Segments of OpenCL in networks: where values live, what crosses a segment's border, what is named when it fails."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pyopencl", reason="the OpenCL backend needs pyopencl")

from cnnrt import Net
from cnnrt.backend import HostFunction, HostKernel
from cnnrt.errors import CnnrtError, InputError, KernelWarning
from cnnrt.layer_call import LayerCall
from cnnrt.plugins import PluginHost
from cnnrt_backend_opencl import transfers
from cnnrt_backend_opencl.backend import OpenCLBackend
from cnnrt_backend_opencl.driver import Driver
from cnnrt_backend_opencl.elementwise import ElementwiseKernel
from cnnrt_backend_opencl.kernel import Launch
from core_suite.ceilings import stream_everything
from core_suite.small_networks import filters, images, write_network
from netfile_spec import layer
from opencl_suite.drivers import ApartDriver
from opencl_suite.kernels import PlainProduct, host_with

LAYERS = (
    layer("Pooling", "pool", kernel_size=2, stride=2),
    layer("TanH", "tanh"),
    layer("FullyConnected", "ip1", parameters_file="ip1.msg"),
    layer("ReLU", "relu"),
    layer("FullyConnected", "ip2", parameters_file="ip2.msg"),
    layer("Sigmoid", "sigmoid"),
)
WEIGHTS = {"ip1": filters(0, 20, 3 * 36), "ip2": filters(1, 7, 20)}


@pytest.fixture(scope="module", params=[Driver, ApartDriver], ids=["shared memory", "its own memory"])
def host(request: pytest.FixtureRequest) -> PluginHost:
    """A host whose device works in the arrays themselves, and one that copies them, in pieces."""
    return host_with(OpenCLBackend(request.param()))


@pytest.fixture
def netfile(tmp_path: Path) -> Path:
    return write_network(tmp_path, LAYERS, WEIGHTS)


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfers, "PIECE", 1000)


def opencl(netfile: Path, host: PluginHost, **options: Any) -> Net:
    return Net(netfile, execution_mode="opencl", plugins=host, **options)


def sequential(netfile: Path, host: PluginHost) -> Net:
    return Net(netfile, execution_mode="sequential", plugins=host)


def test_values_between_its_layers_live_on_the_device_alone(netfile: Path, host: PluginHost) -> None:
    x = images(5, 3, 12, 12)
    net = opencl(netfile, host, strict=True)
    np.testing.assert_allclose(net.compute(x), sequential(netfile, host).compute(x), atol=1e-6)
    assert {row.backend for row in net.plan.rows if row.segment >= 0} == {"opencl"}
    assert len({row.segment for row in net.plan.rows if row.segment >= 0}) == 1
    assert net.plan.memory.arena == 0
    memory = net.plan.memory
    assert memory.device + sum(device.arena for device in memory.devices) >= 4 * 5 * (3 * 36 + 20)
    assert ("on devices" in str(memory)) == (not memory.devices)


@pytest.mark.parametrize("wanted", [["pool"], ["tanh", "ip1", "relu"], ["sigmoid", "tanh", "pool"]])
def test_values_inside_come_out_in_the_plain_layout(netfile: Path, host: PluginHost, wanted: list[str]) -> None:
    x = images(3, 3, 12, 12)
    expected = sequential(netfile, host).compute(x, outputs=wanted)
    computed = opencl(netfile, host).compute(x, outputs=wanted)
    for name in wanted:
        np.testing.assert_allclose(computed[name], expected[name], atol=1e-6)


def test_what_a_layer_elsewhere_reads_goes_there_and_what_it_gives_comes_back(tmp_path: Path, host: PluginHost) -> None:
    """Softplus has no kernel here; `tanh` is read on both sides of it."""
    layers = (
        layer("TanH", "tanh", bottom="data", top="tanh"),
        layer("Softplus", "soft", bottom="tanh", top="soft"),
        layer("Sigmoid", "a", bottom="soft", top="a"),
        layer("Sigmoid", "b", bottom="tanh", top="b"),
        layer("Eltwise", "sum", bottom=("a", "b"), top="sum"),
    )
    net, x = opencl(write_network(tmp_path, layers), host), images(4, 3, 6, 7)
    np.testing.assert_allclose(net.compute(x), sequential(tmp_path / "net.netfile", host).compute(x), atol=1e-6)
    assert {row.layer: row.backend for row in net.plan.rows if row.layer != "sum" and "eorder" not in row.type} == {
        "tanh": "opencl",
        "soft": "core",
        "a": "opencl",
        "b": "opencl",
    }


def test_a_value_that_is_wanted_and_read_on_under_another_shape_is_one_buffer(tmp_path: Path, host: PluginHost) -> None:
    layers = (layer("Pooling", "pool", kernel_size=12), layer("Flatten", "flat"), layer("Sigmoid", "sigmoid"))
    path, x = write_network(tmp_path, layers), images(6, 5, 12, 12)
    wanted = ["pool", "flat", "sigmoid"]
    expected = sequential(path, host).compute(x, outputs=wanted)
    for name, value in opencl(path, host, strict=True).compute(x, outputs=wanted).items():
        np.testing.assert_allclose(value, expected[name], atol=1e-6)


def test_calls_of_all_sizes_and_threads_keep_apart(netfile: Path, host: PluginHost) -> None:
    net, reference = opencl(netfile, host, concurrency=2), sequential(netfile, host)
    batches = [images(n, 3, 12, 12, seed=n) for n in (1, 4, 9, 4, 2, 1)]
    with ThreadPoolExecutor(3) as pool:
        for x, y in zip(batches, pool.map(net.compute, batches), strict=True):
            np.testing.assert_allclose(y, reference.compute(x), atol=1e-6)


def test_arrays_that_begin_anywhere_are_taken(netfile: Path, host: PluginHost) -> None:
    raw = np.zeros(4 * 2 * 3 * 144 + 8, np.uint8)
    x = raw[4:-4].view(np.float32).reshape(2, 3, 12, 12)
    x[...] = images(*x.shape)
    np.testing.assert_array_equal(opencl(netfile, host).compute(x), opencl(netfile, host).compute(x.copy()))


def test_values_that_are_no_numbers_are_found_while_the_device_computes(netfile: Path, host: PluginHost) -> None:
    x = images(1024, 3, 12, 12)
    net = opencl(netfile, host)
    net.compute(x)  # from now on the Net knows that a device works for it
    x[900, 2, 3, 4] = np.nan
    with pytest.raises(InputError, match=r"the first at \(900, 2, 3, 4\)"):
        net.compute(x)


def test_weights_that_do_not_stay_are_uploaded_for_each_call(
    netfile: Path, host: PluginHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = images(3, 3, 12, 12)
    expected = opencl(netfile, host).compute(x)
    stream_everything(monkeypatch)
    net = opencl(netfile, host)
    for _ in range(3):
        assert np.array_equal(net.compute(x), expected)
    read = {row.layer for row in net.plan.rows if not row.resident}
    assert read
    assert read == {t.layer for t in net.profile(x).layers if t.load_seconds > 0}


def test_a_profile_has_a_time_for_each_step_and_changes_no_result(netfile: Path, host: PluginHost) -> None:
    net, x = opencl(netfile, host), images(2, 3, 12, 12)
    expected = net.compute(x)
    profile = net.profile(x)
    assert [t.layer for t in profile.layers] == [r.layer for r in net.plan.rows if r.segment >= 0]
    assert all(t.run_seconds > 0 for t in profile.layers)
    assert np.array_equal(net.compute(x), expected)


def test_a_profile_is_timed_by_the_device(netfile: Path, host: PluginHost) -> None:
    """So that the host's waiting, and values on their way in and out, are in no layer's time."""
    net, x = opencl(netfile, host), images(64, 3, 12, 12)
    net.compute(x)
    profile = net.profile(x)
    assert 0 < sum(t.run_seconds for t in profile.layers) < profile.seconds


def test_a_kernel_of_another_kind_is_refused_by_name(netfile: Path) -> None:
    class Stranger(HostKernel):
        layer, backend, name = "ReLU", "opencl", "stranger"

        def bind(self, call: LayerCall) -> HostFunction:
            raise NotImplementedError

    net = opencl(netfile, host_with(OpenCLBackend(), Stranger(), PlainProduct()))
    with pytest.raises(CnnrtError, match="layer 'relu': kernel 'stranger' of backend 'opencl' is not an OpenCLKernel"):
        net.compute(images(1, 3, 12, 12))


class Misspelt(PlainProduct):
    """Its source is no OpenCL C."""

    name = "misspelt"
    folds = ("ReLU",)

    def text(self) -> str:
        return '#line 1 "product.cl"\n' + super().text().replace("float sum = 0.0f", "flaot sum = 0.0f")


class TooGreedy(ElementwiseKernel):
    """Asks for more work-items in a group than any device has."""

    name = "greedy"

    def launches(self, call: LayerCall, device: Any) -> list[Launch]:
        return [Launch("elementwise", (1 << 20,), (1 << 20,), launch.args) for launch in super().launches(call, device)]


@pytest.mark.parametrize(
    ("kernel", "other", "layer_name", "told"),
    [
        (
            Misspelt(),
            ElementwiseKernel("ReLU"),
            "ip1",
            r"could not be built from product.cl: .*product.cl:\d+:\d+: .*flaot",
        ),
        (TooGreedy("ReLU"), PlainProduct(), "relu", "failed: clEnqueueNDRangeKernel: .*INVALID_WORK_GROUP_SIZE"),
    ],
    ids=["a source that does not compile", "a launch that is refused"],
)
def test_a_kernel_that_fails_is_left_out_with_its_log_and_the_network_runs_on(
    netfile: Path, kernel: Any, other: Any, layer_name: str, told: str
) -> None:
    host, x = host_with(OpenCLBackend(), kernel, other), images(2, 3, 12, 12)
    net = opencl(netfile, host)
    with pytest.warns(KernelWarning, match=f"(?s)layer '{layer_name}': kernel 'opencl/{kernel.name}'.*{told}"):
        y = net.compute(x)
    np.testing.assert_allclose(y, sequential(netfile, host).compute(x), atol=1e-6)
    (row,) = (row for row in net.plan.rows if row.layer == layer_name)
    assert row.fallback
    assert "quarantined" in row.why


def test_launches_whose_groups_do_not_fit_are_refused() -> None:
    with pytest.raises(CnnrtError, match=r"groups of \(64,\) do not divide \(100,\) work-items"):
        Launch("f", (100,), (64,), ())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="only systems that fork")
def test_a_forked_child_is_told_to_start_anew_instead_of_waiting_for_ever(netfile: Path) -> None:
    net, x = opencl(netfile, host_with(OpenCLBackend())), images(1, 3, 12, 12)
    net.compute(x)

    def told(compute: Callable[[], Any]) -> bool:
        try:
            compute()
        except CnnrtError as error:
            return "forked" in str(error)
        return False

    child = os.fork()
    if child == 0:
        fresh = net.prepare  # a plan that its backend must refuse
        os._exit(0 if told(lambda: net.compute(x)) and told(lambda: fresh((2, 3, 12, 12))) else 1)
    assert os.waitpid(child, 0)[1] == 0
