"""Memory of a device's own is planned as the process's is: what stays there, what passes through, what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

pytest.importorskip("pyopencl", reason="the OpenCL backend needs pyopencl")

from cnnrt import CnnrtError, Net
from cnnrt.cli.show import show
from cnnrt.errors import MemoryCeilingError
from cnnrt.layer import Array
from cnnrt.plugins import PluginHost
from cnnrt_backend_opencl.backend import OpenCLBackend
from cnnrt_backend_opencl.convolution_tile import TileConvolution
from cnnrt_backend_opencl.driver import Handle
from cnnrt_backend_opencl.elementwise import ElementwiseKernel
from cnnrt_backend_opencl.fully_connected_tile import TileFullyConnected
from cnnrt_backend_opencl.pooling import WindowPooling
from cnnrt_backend_opencl.reorder import Transpose
from core_suite.small_networks import filters, images, write_network
from netfile_spec import InputBlock, layer
from opencl_suite.drivers import ApartDriver
from opencl_suite.kernels import host_with

MIB = 1 << 20
PLENTY = 1 << 40
LAYERS = (
    layer("Convolution", "conv", pad=1),
    layer("FullyConnected", "wide"),
    layer("ReLU", "relu"),
    layer("FullyConnected", "scores"),
)
PARAMETERS = {"conv": filters(1, 16, 8, 3, 3), "wide": filters(2, 700, 16 * 64), "scores": filters(3, 10, 700)}
WEIGHTS = 4 * 700 * 1024


class Board(ApartDriver):
    """A board with so much memory, which counts the bytes that it was asked for."""

    def __init__(self, memory: float = PLENTY, largest: float = PLENTY) -> None:
        self.said = {**self.said, "global_mem_size": int(memory), "max_mem_alloc_size": int(largest)}
        self.asked = self.largest_asked = 0

    def buffer(self, context: Handle, access: str, nbytes: int) -> Handle:
        self.asked += nbytes
        self.largest_asked = max(self.largest_asked, nbytes)
        return super().buffer(context, access, nbytes)

    def filled(self, context: Handle, array: Array) -> Handle:
        self.asked += array.nbytes
        self.largest_asked = max(self.largest_asked, array.nbytes)
        return super().filled(context, array)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CNNRT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("cnnrt_backend_opencl.fully_connected.SLICE_BYTES", 1 << 17)
    return write_network(tmp_path / "net", LAYERS, PARAMETERS, inputs=[InputBlock("data", (8, 8, 8))])


def host_of(driver: ApartDriver) -> PluginHost:
    own = (TileConvolution(), TileFullyConnected(), WindowPooling(), Transpose(), ElementwiseKernel("ReLU"))
    return host_with(OpenCLBackend(driver), *own)


def opencl(path: Path, driver: ApartDriver, **options: Any) -> Net:
    return Net(path, execution_mode="opencl", plugins=host_of(driver), **options)


def on_device(net: Net) -> Any:
    (plan,) = net.plan.memory.devices
    return plan


def test_what_is_on_a_device_of_its_own_memory_counts_there_and_not_in_the_process(path: Path) -> None:
    x = images(4, 8, 8, 8)
    with opencl(path, Board()) as net:
        net.compute(x)
        plan = on_device(net)
        assert plan.resident >= WEIGHTS
        assert plan.border >= x.nbytes + 4 * 4 * 10
        assert plan.arena >= 4 * 4 * 16 * 64
        assert plan.peak == plan.resident + plan.arena + plan.border
        memory = net.plan.memory
        assert (memory.resident, memory.device, memory.streamed) == (0, 0, 0)
        assert memory.arena == 0
        assert "on opencl:pocl" in str(memory)


def test_under_a_ceiling_weights_stay_where_they_are_not_the_processs(path: Path) -> None:
    """The ceiling must only let them pass when they are loaded."""
    ceiling = 2.5 * WEIGHTS / MIB
    x = images(4, 8, 8, 8)
    with opencl(path, Board(), allocated_ram=ceiling) as net:
        y = net.compute(x)
        assert all(row.resident for row in net.plan.rows)
    with opencl(path, Board(), allocated_ram=1.3 * WEIGHTS / MIB) as net:
        assert np.array_equal(net.compute(x), y)
        assert {row.layer for row in net.plan.rows if not row.resident} == {"wide"}


@pytest.mark.parametrize("driver", [Board(memory=1.5 * MIB), Board(largest=1.5 * MIB)], ids=["in all", "in one piece"])
def test_weights_that_are_too_large_for_a_device_pass_through_it(path: Path, driver: Board) -> None:
    batches = [images(n, 8, 8, 8) for n in (4, 1)]
    expected = [opencl(path, Board()).compute(x) for x in batches]
    for x in batches:  # verifies kernels
        opencl(path, driver).compute(x)
    assert driver.largest_asked < WEIGHTS, "whole weights are not on it while kernels are verified, either"
    with opencl(path, driver) as net:
        for x, y in zip(batches, expected, strict=True):
            driver.asked = 0
            assert np.array_equal(net.compute(x), y)
            assert "wide" in {row.layer for row in net.plan.rows if not row.resident}
            plan = on_device(net)
            assert plan.fits
            assert plan.streamed >= WEIGHTS
            assert 0 < plan.stream_buffers < WEIGHTS
            assert driver.asked <= plan.peak + 8192  # what arrays are aligned by


def test_values_that_are_too_large_are_refused_before_anything_is_allocated_there(path: Path) -> None:
    driver = Board(memory=100_000)
    x = images(1, 8, 8, 8)
    with (
        opencl(path, driver) as net,
        pytest.raises(
            CnnrtError, match=r"opencl:pocl has .*, and computing this takes at least .* there: values between layers"
        ) as caught,
    ):
        net.prepare(x.shape)
    assert not isinstance(caught.value, MemoryCeilingError)
    assert driver.asked < 100
    piece = Board(largest=10_000)
    with opencl(path, piece) as net, pytest.raises(CnnrtError, match="in one piece, and computing this takes"):
        net.prepare(x.shape)


def test_a_batch_whose_values_are_too_large_for_a_device_is_computed_in_parts(tmp_path: Path) -> None:
    layers = [
        layer("Convolution", "conv", pad=1),
        layer("ReLU", "relu"),
        layer("Pooling", "pool", kernel_size=8, stride=8),
    ]
    layers += [layer("FullyConnected", "scores")]
    parameters: Mapping[str, Any] = {"conv": filters(1, 16, 2, 3, 3), "scores": filters(2, 10, 16 * 64)}
    path = write_network(tmp_path, layers, parameters)
    x = images(16, 2, 64, 64)
    whole = opencl(path, Board())
    y = whole.compute(x)
    needed = on_device(whole).peak
    driver = Board(memory=needed * 0.6)
    with opencl(path, driver) as net:
        np.testing.assert_allclose(net.compute(x), y, atol=1e-6)
        assert any("so that they take less memory" in note for note in net.plan.notes)
        assert on_device(net).fits


def test_show_tells_what_is_on_a_device(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = host_of(Board(memory=1.5 * MIB))
    monkeypatch.setattr("cnnrt.net.plugin_host", lambda: host)
    shown = CliRunner().invoke(show, [str(path), "--mode", "opencl"])
    assert shown.exit_code == 0, shown.output
    assert "on opencl:pocl" in shown.output
    assert "through buffers of" in shown.output
