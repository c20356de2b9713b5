"""What is left when OpenCL fails: a right answer with a warning that says what was done instead, or a clear error."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

pytest.importorskip("pyopencl", reason="the OpenCL backend needs pyopencl")

from cnnrt import Net
from cnnrt.cli.devices import devices as devices_command
from cnnrt.errors import CnnrtError, DeviceLostError, DeviceWarning, KernelWarning, PlacementError
from cnnrt.plugins import PluginHost
from cnnrt_backend_opencl import transfers
from cnnrt_backend_opencl.backend import OpenCLBackend
from cnnrt_backend_opencl.elementwise import ElementwiseKernel
from core_suite.small_networks import filters, images, write_network
from netfile_spec import layer
from opencl_suite.drivers import FaultyDriver, StubDriver
from opencl_suite.kernels import PlainProduct, host_with

LAYERS = (
    layer("FullyConnected", "ip1", parameters_file="ip1.msg"),
    layer("Sigmoid", "sigmoid"),
    layer("FullyConnected", "ip2", parameters_file="ip2.msg"),
    layer("TanH", "tanh"),
)
WEIGHTS = {"ip1": filters(0, 20, 12), "ip2": filters(1, 7, 20)}


@pytest.fixture
def driver() -> FaultyDriver:
    return FaultyDriver()


@pytest.fixture
def host(driver: FaultyDriver) -> PluginHost:
    return host_with(OpenCLBackend(driver))


@pytest.fixture
def netfile(tmp_path: Path) -> Path:
    return write_network(tmp_path, LAYERS, WEIGHTS)


def opencl(netfile: Path, host: PluginHost, **options: Any) -> Net:
    return Net(netfile, execution_mode="opencl", plugins=host, **options)


def expected(netfile: Path, host: PluginHost, x: Any) -> Any:
    return Net(netfile, execution_mode="sequential", plugins=host).compute(x)


def backends_of(net: Net) -> set[str]:
    return {row.backend for row in net.plan.rows if row.segment >= 0}


@pytest.mark.parametrize("code", ["OUT_OF_RESOURCES", "an illegal access", "DEVICE_NOT_AVAILABLE"])
@pytest.mark.parametrize("method", ["launch", "finish", "mapped", "buffer_of"])
def test_a_lost_context_is_made_anew_and_the_call_repeated(
    netfile: Path, host: PluginHost, driver: FaultyDriver, method: str, code: str
) -> None:
    net, x = opencl(netfile, host), images(3, 12)
    before = net.compute(x)
    contexts = driver.calls["context"]
    driver.fail(method, code)
    with pytest.warns(DeviceWarning, match="a device was lost: opencl:pocl: .*; everything that was there is set up"):
        after = net.compute(x)
    assert driver.calls["context"] == contexts + 1
    assert np.array_equal(after, before)
    assert np.array_equal(net.compute(x), before)
    assert backends_of(net) == {"opencl"}


def test_a_device_that_is_gone_leaves_the_network_to_the_processor(
    netfile: Path, host: PluginHost, driver: FaultyDriver
) -> None:
    net, x = opencl(netfile, host), images(3, 12)
    net.compute(x)
    driver.fail("launch", "DEVICE_NOT_AVAILABLE")
    driver.fail("context", "DEVICE_NOT_AVAILABLE", times=99)
    with pytest.warns(DeviceWarning, match=r"runs on sequential:cpu from now on .*it was lost, and cannot be set up"):
        y = net.compute(x)
    np.testing.assert_allclose(y, expected(netfile, host, x), atol=1e-6)
    assert backends_of(net) == {"sequential"}
    with pytest.raises(PlacementError, match=r"opencl:pocl: it was lost, and cannot be set up anew: .*NOT_AVAILABLE"):
        opencl(netfile, host).compute(x)


def test_a_device_that_is_lost_again_and_again_is_not_used_any_more(
    netfile: Path, host: PluginHost, driver: FaultyDriver
) -> None:
    net, x = opencl(netfile, host), images(3, 12)
    net.compute(x)
    driver.fail("launch", "OUT_OF_RESOURCES", times=99)
    with pytest.warns(DeviceWarning) as caught:
        y = net.compute(x)
    assert "lost 3 times, and nothing was computed in between" in str(caught[-1].message)
    np.testing.assert_allclose(y, expected(netfile, host, x), atol=1e-6)


def test_a_device_that_cannot_even_be_set_up_is_told_of_and_left_out(
    netfile: Path, host: PluginHost, driver: FaultyDriver
) -> None:
    driver.fail("context", "DEVICE_NOT_AVAILABLE", times=99)
    with pytest.warns(DeviceWarning, match="opencl:pocl: it cannot be set up: .*DEVICE_NOT_AVAILABLE"):
        opencl(netfile, host).compute(images(1, 12))


def test_strict_networks_raise_when_a_device_is_lost(netfile: Path, host: PluginHost, driver: FaultyDriver) -> None:
    net, x = opencl(netfile, host, strict=True), images(3, 12)
    before = net.compute(x)
    driver.fail("launch", "OUT_OF_RESOURCES")
    with pytest.raises(DeviceLostError, match=r"opencl:pocl: launch: .*OUT_OF_RESOURCES"):
        net.compute(x)
    assert np.array_equal(opencl(netfile, host, strict=True).compute(x), before)


def test_other_networks_on_the_device_go_on_too(netfile: Path, host: PluginHost, driver: FaultyDriver) -> None:
    nets, x = [opencl(netfile, host) for _ in range(2)], images(3, 12)
    before = [net.compute(x) for net in nets]
    driver.fail("finish", "OUT_OF_RESOURCES")
    for net, y in zip(nets, before, strict=True):
        with pytest.warns(DeviceWarning):
            assert np.array_equal(net.compute(x), y)


@pytest.mark.parametrize("method", ["buffer", "buffer_of", "filled", "launch"])
@pytest.mark.parametrize("code", ["MEM_OBJECT_ALLOCATION_FAILURE", "OUT_OF_HOST_MEMORY"])
def test_where_memory_does_not_do_the_batch_is_halved(
    netfile: Path, host: PluginHost, driver: FaultyDriver, method: str, code: str
) -> None:
    x = images(5, 12)
    opencl(netfile, host).compute(x)  # so that what fails is the network, not the verification
    opencl(netfile, host).compute(x[:2])
    opencl(netfile, host).compute(x[:3])
    net = opencl(netfile, host)
    driver.fail(method, code)
    with pytest.warns(DeviceWarning, match="5 items are computed in halves: .*" + code):
        y = net.compute(x)
    np.testing.assert_allclose(y, expected(netfile, host, x), atol=1e-6)
    assert np.array_equal(net.compute(x), y)  # filterwarnings: it is told once


def test_one_item_that_is_too_large_is_a_clear_error(netfile: Path, host: PluginHost, driver: FaultyDriver) -> None:
    net, x = opencl(netfile, host), images(1, 12)
    before = net.compute(x)
    driver.fail("launch", "MEM_OBJECT_ALLOCATION_FAILURE")
    with pytest.raises(CnnrtError, match=r"out of memory: .*MEM_OBJECT_ALLOCATION_FAILURE"):
        net.compute(x)
    assert np.array_equal(net.compute(x), before)


def test_values_larger_than_the_largest_buffer_are_refused_before_they_are_asked_for(tmp_path: Path) -> None:
    stub = StubDriver(largest_buffer=8192)
    path, host = relu_network(tmp_path, 3), host_with(OpenCLBackend(stub), ElementwiseKernel("ReLU"))
    x = images(6, 500)
    with pytest.warns(DeviceWarning, match=r"\d items are computed in halves: .* in one piece") as caught:
        y = opencl(path, host).compute(x)
    assert [str(w.message).split(": ")[1][0] for w in caught] == ["6", "3"]
    assert np.array_equal(y, np.maximum(x, 0))


@pytest.mark.parametrize("when", ["build", "kernel", "launch"])
def test_a_kernel_that_fails_when_it_is_tried_is_left_out(
    netfile: Path, host: PluginHost, driver: FaultyDriver, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CNNRT_CACHE", str(netfile.parent / "cache"))
    x = images(3, 12)
    log = "sigmoid.cl:3:1: error: not today" if when == "build" else "INVALID_WORK_GROUP_SIZE"
    # Each function is one launch or build; FullyConnected is the first layer, and fails there.
    driver.fail(when, log, times=99 if when == "build" else 1)
    with pytest.warns(KernelWarning, match=f"(?s)kernel 'opencl/.*{log}"):
        y = opencl(netfile, host).compute(x)
    np.testing.assert_allclose(y, expected(netfile, host, x), atol=1e-6)


def test_what_is_quarantined_is_listed_with_its_device(
    netfile: Path, host: PluginHost, driver: FaultyDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CNNRT_CACHE", str(netfile.parent / "cache"))
    monkeypatch.setattr("cnnrt.plugins.plugin_host", lambda: host)
    driver.fail("build", "error: not today", times=99)
    with pytest.warns(KernelWarning):
        opencl(netfile, host).compute(images(1, 12))
    shown = CliRunner().invoke(devices_command, ["--verbose"])
    assert shown.exit_code == 0, shown.output
    assert "quarantined: FullyConnected/opencl/plain" in shown.output
    assert "error: not today" in shown.output


def test_a_lost_device_is_no_kernels_fault(
    netfile: Path, host: PluginHost, driver: FaultyDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a kernel is verified, the device goes: nothing is quarantined."""
    monkeypatch.setenv("CNNRT_CACHE", str(netfile.parent / "cache"))
    x = images(3, 12)
    driver.fail("launch", "DEVICE_NOT_AVAILABLE")
    driver.fail("context", "", times=1)
    driver.fail("context", "DEVICE_NOT_AVAILABLE", times=99)
    with warnings.catch_warnings():
        warnings.simplefilter("error", KernelWarning)
        warnings.simplefilter("ignore", DeviceWarning)
        opencl(netfile, host).compute(x)
    fresh = host_with(OpenCLBackend(FaultyDriver()))
    assert backends_of_plan(opencl(netfile, fresh), x) == {"opencl"}


def backends_of_plan(net: Net, x: Any) -> set[str]:
    net.compute(x)
    return backends_of(net)


def relu_network(folder: Path, count: int) -> Path:
    return write_network(folder, [layer("ReLU", f"relu{i}") for i in range(count)])


@pytest.mark.parametrize("shares_memory", [True, False])
def test_nothing_is_left_behind_by_a_thousand_networks(tmp_path: Path, shares_memory: bool) -> None:
    stub = StubDriver(shares_memory=shares_memory)
    path, host = relu_network(tmp_path, 2), host_with(OpenCLBackend(stub), ElementwiseKernel("ReLU"))
    x = images(2, 5)

    def cycle() -> None:
        with opencl(path, host) as net:
            assert np.array_equal(net.compute(x), np.maximum(x, 0))

    cycle()
    first = stub.still_alive()
    for _ in range(500):
        cycle()
    assert stub.still_alive() == first
    assert first["context"] == 1
    assert not first.keys() - {"context", "program"}
    assert stub.launched >= 2 * 501
    assert not stub.orphans  # parts of buffers go first: not every driver survives the other way round


def test_nothing_is_left_behind_by_calls_that_fail(netfile: Path) -> None:
    """The real driver, counted by the lives of its wrappers: what fails lets go of what it had."""
    import gc

    import pyopencl

    driver = FaultyDriver()
    host, x = host_with(OpenCLBackend(driver)), images(4, 12)

    def alive() -> int:
        gc.collect()
        kinds = (pyopencl.Buffer, pyopencl.Kernel, pyopencl.CommandQueue, pyopencl.Context)
        return sum(isinstance(thing, kinds) for thing in gc.get_objects())

    def cycle(method: str, code: str) -> None:
        with warnings.catch_warnings(), opencl(netfile, host) as net:
            warnings.simplefilter("ignore", DeviceWarning)
            net.compute(x)
            driver.fail(method, code)
            net.compute(x)

    cycle("finish", "OUT_OF_RESOURCES")
    before = alive()
    for number in range(20):
        cycle(*[("finish", "OUT_OF_RESOURCES"), ("launch", "MEM_OBJECT_ALLOCATION_FAILURE")][number % 2])
    assert 1 <= alive() <= before


def test_pinned_memory_is_shared_by_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of whatever size a value is: it goes in pieces that end anywhere."""
    stub = StubDriver()
    path, host = relu_network(tmp_path, 1), host_with(OpenCLBackend(stub), ElementwiseKernel("ReLU"))
    for piece in (4, 52, 4096):
        monkeypatch.setattr(transfers, "PIECE", piece)
        for size in (1, 13, 100):
            x = images(3, size, seed=size)
            assert np.array_equal(opencl(path, host).compute(x), np.maximum(x, 0))


def test_strict_says_which_kernel_failed_instead_of_doing_without(
    netfile: Path, host: PluginHost, driver: FaultyDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CNNRT_CACHE", str(netfile.parent / "cache"))
    driver.fail("build", "error: not today", times=99)
    with pytest.raises(PlacementError, match=f"{PlainProduct.name}.*not today"):
        opencl(netfile, host, strict=True).compute(images(1, 12))
