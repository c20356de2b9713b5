"""Weights that pass through a device: in slices, two pieces at a time, and to the same bits as those that stay."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pyopencl", reason="the OpenCL backend needs pyopencl")

from cnnrt import Net
from cnnrt.errors import DeviceWarning, MemoryCeilingWarning, ParameterFileError
from cnnrt.plugins import PluginHost
from cnnrt_backend_opencl.backend import OpenCLBackend
from cnnrt_backend_opencl.convolution_gemm import GemmConvolution, GemmFullyConnected
from cnnrt_backend_opencl.convolution_tile import TileConvolution
from cnnrt_backend_opencl.driver import Driver, Handle
from cnnrt_backend_opencl.elementwise import ElementwiseKernel
from cnnrt_backend_opencl.fully_connected_rows import RowsFullyConnected
from cnnrt_backend_opencl.fully_connected_tile import TileFullyConnected
from cnnrt_backend_opencl.kernel import OpenCLKernel
from cnnrt_backend_opencl.pooling import WindowPooling
from cnnrt_backend_opencl.reorder import Transpose
from core_suite.ceilings import stream_everything
from core_suite.small_networks import filters, images, write_network
from netfile_spec import InputBlock, layer
from opencl_suite.drivers import ApartDriver, FaultyDriver
from opencl_suite.kernels import host_with

LAYERS = (
    layer("Convolution", "conv", pad=1),
    layer("FullyConnected", "wide"),
    layer("ReLU", "relu"),
    layer("FullyConnected", "scores"),
)
PARAMETERS = {"conv": filters(1, 16, 8, 3, 3), "wide": filters(2, 700, 16 * 64), "scores": filters(3, 10, 700)}
SLICE = 1 << 18
PRODUCTS = [TileFullyConnected(), RowsFullyConnected(), GemmFullyConnected()]


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CNNRT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("cnnrt_backend_opencl.fully_connected.SLICE_BYTES", SLICE)
    return write_network(tmp_path / "net", LAYERS, PARAMETERS, inputs=[InputBlock("data", (8, 8, 8))])


def host_of(driver: Driver, product: OpenCLKernel) -> PluginHost:
    own = (TileConvolution(), GemmConvolution(), WindowPooling(), Transpose(), ElementwiseKernel("ReLU"))
    return host_with(OpenCLBackend(driver), product, *own)


def opencl(path: Path, host: PluginHost, **options: Any) -> Net:
    return Net(path, execution_mode="opencl", plugins=host, strict=True, **options)


@pytest.mark.parametrize("driver", [Driver, ApartDriver], ids=["shared memory", "its own memory"])
@pytest.mark.parametrize("product", PRODUCTS, ids=lambda kernel: kernel.name)
def test_slices_give_the_same_bits(
    path: Path, driver: Callable[[], Driver], product: OpenCLKernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = host_of(driver(), product)
    batches = [images(n, 8, 8, 8, seed=n) for n in (1, 5)]
    with opencl(path, host) as net:
        expected = [net.compute(x) for x in batches]
        wanted = net.compute(batches[1], outputs=["wide"])
    stream_everything(monkeypatch)
    with opencl(path, host) as net:
        for x, y in zip(batches, expected, strict=True):
            assert np.array_equal(net.compute(x), y)
            assert np.array_equal(net.compute(x), y)
        rows = {row.layer: row for row in net.plan.rows}
        assert rows["wide"].kernel == product.name
        assert not rows["wide"].resident
        assert net.plan.memory.stream_buffers < 4 * 700 * 1024  # less than the layer's weights pass at a time
        # One that is handed back is written to the caller's array.
        assert np.array_equal(net.compute(batches[1], outputs=["wide"])["wide"], wanted["wide"])


class Counting(ApartDriver):
    """Notes the sizes of buffers, and of what is copied to them."""

    def __init__(self) -> None:
        self.made: list[int] = []
        self.written: list[int] = []

    def buffer(self, context: Handle, access: str, nbytes: int) -> Handle:
        self.made.append(nbytes)
        return super().buffer(context, access, nbytes)

    def write(self, queue: Handle, buffer: Handle, array: Any, offset: int = 0, *, wait: bool = True) -> Handle:
        self.written.append(array.nbytes)
        return super().write(queue, buffer, array, offset, wait=wait)


def test_two_pieces_at_most_are_on_a_device_of_its_own_memory(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stream_everything(monkeypatch)
    driver = Counting()
    with opencl(path, host_of(driver, RowsFullyConnected())) as net:
        x = images(2, 8, 8, 8)
        net.compute(x)
        driver.written.clear()
        driver.made.clear()
        net.compute(x)
        weights = sum(row.weight_bytes for row in net.plan.rows)
        (plan,) = net.plan.memory.devices
        piece = plan.stream_buffers // 2
    assert sum(driver.written) >= weights  # all of them pass again
    assert driver.made == []  # through the memory that the first call took
    with opencl(path, host_of(driver, RowsFullyConnected())) as net:
        net.compute(x)
    passed = [nbytes for nbytes in driver.made if nbytes >= SLICE // 2]
    assert len(passed) >= 1
    assert sum(passed) <= 2 * (piece + 4096)


@pytest.mark.parametrize("driver", [Driver, ApartDriver], ids=["shared memory", "its own memory"])
def test_a_file_that_goes_away_is_an_error_that_names_it(
    path: Path, driver: Callable[[], Driver], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CNNRT_CACHE", "")  # so that weights are read from the parameter file and packed for each call
    stream_everything(monkeypatch)
    x = images(2, 8, 8, 8)
    with opencl(path, host_of(driver(), RowsFullyConnected())) as net:
        with pytest.warns(MemoryCeilingWarning, match="no cache folder"):
            expected = net.compute(x)
        file = path.parent / "wide.msg"
        content = file.read_bytes()
        file.unlink()
        with pytest.raises(ParameterFileError, match=r"wide\.msg"):
            net.compute(x)
        file.write_bytes(content)
        assert np.array_equal(net.compute(x), expected)


@pytest.mark.parametrize("method", ["launch", "buffer_of"])
def test_a_device_that_is_lost_while_weights_pass_is_set_up_anew(
    path: Path, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream_everything(monkeypatch)
    driver, x = FaultyDriver(), images(2, 8, 8, 8)
    with Net(path, execution_mode="opencl", plugins=host_of(driver, TileFullyConnected())) as net:
        expected = net.compute(x)
        driver.fail(method, "OUT_OF_RESOURCES", skipping=4)
        with pytest.warns(DeviceWarning, match="set up anew"):
            assert np.array_equal(net.compute(x), expected)
        assert np.array_equal(net.compute(x), expected)
