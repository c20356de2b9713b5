"""Large batches on devices of their own memory: one part is copied there or back while another one is computed."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pyopencl", reason="the OpenCL backend needs pyopencl")

from cnnrt import Net
from cnnrt.errors import CnnrtError, DeviceLostError, DeviceMemoryError, DeviceWarning
from cnnrt.plugins import PluginHost
from cnnrt_backend_opencl.backend import OpenCLBackend
from cnnrt_backend_opencl.driver import Driver, Handle
from core_suite.small_networks import filters, images, write_network
from netfile_spec import layer
from opencl_suite.drivers import ApartDriver
from opencl_suite.kernels import host_with

LAYERS = (
    layer("Pooling", "pool", kernel_size=2, stride=2),
    layer("FullyConnected", "ip1"),
    layer("ReLU", "relu"),
    layer("FullyConnected", "ip2"),
    layer("Sigmoid", "sigmoid"),
)
WEIGHTS = {"ip1": filters(0, 20, 3 * 36), "ip2": filters(1, 7, 20)}


class Watched(ApartDriver):
    """Notes what is put into queues, and what is waited for."""

    def __init__(self) -> None:
        self.queues: list[Handle] = []
        self.seen: list[tuple[str, int]] = []

    def _note(self, what: str, queue: Handle) -> None:
        if queue not in self.queues:
            self.queues.append(queue)
        self.seen.append((what, self.queues.index(queue)))

    def write(self, queue: Handle, buffer: Handle, array: Any, offset: int = 0, *, wait: bool = True) -> Handle:
        self._note("upload", queue)
        return super().write(queue, buffer, array, offset, wait=wait)

    def read(self, queue: Handle, array: Any, buffer: Handle, offset: int = 0, *, wait: bool = True) -> Handle:
        self._note("read", queue)
        return super().read(queue, array, buffer, offset, wait=wait)


class FailingOnce(ApartDriver):
    """One of whose launches fails: after so many that do not."""

    left = -1
    failure: type[CnnrtError]

    def launch(self, queue: Handle, kernel: Handle, global_size: Any, local_size: Any) -> Handle:
        self.left -= 1
        if self.left == -1:
            raise self.failure("not today")
        return super().launch(queue, kernel, global_size, local_size)


@pytest.fixture
def netfile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("cnnrt_backend_opencl.backend.PART_BYTES", 4096)
    return write_network(tmp_path, LAYERS, WEIGHTS)


def opencl(netfile: Path, host: PluginHost, **options: Any) -> Net:
    return Net(netfile, execution_mode="opencl", plugins=host, **options)


def overlaps(net: Net) -> bool:
    return any("copied while others are computed" in note for note in net.plan.notes)


def expected(netfile: Path, x: Any, wanted: list[str]) -> dict[str, Any]:
    result: dict[str, Any] = opencl(netfile, host_with(OpenCLBackend(Driver()))).compute(x, outputs=wanted)
    return result


@pytest.mark.parametrize("wanted", [["sigmoid"], ["ip2", "sigmoid", "ip1"]])
def test_parts_give_what_the_whole_gives(netfile: Path, wanted: list[str]) -> None:
    x = images(12, 3, 12, 12)
    net = opencl(netfile, host_with(OpenCLBackend(ApartDriver())), strict=True)
    for _ in range(2):
        for name, value in net.compute(x, outputs=wanted).items():
            np.testing.assert_allclose(value, expected(netfile, x, wanted)[name], atol=1e-6)
    assert overlaps(net)
    assert {row.output[0] for row in net.plan.rows if row.layer in wanted} == {12}
    assert {t.layer for t in net.profile(x).layers} >= {"ip1", "ip2", "pool"}


def test_the_next_part_is_on_its_way_before_the_last_one_is_read(netfile: Path) -> None:
    driver = Watched()
    net = opencl(netfile, host_with(OpenCLBackend(driver)))
    x = images(12, 3, 12, 12)
    net.compute(x)
    driver.seen.clear()
    driver.queues.clear()
    net.compute(x)
    first = [event for event, follows in zip(driver.seen, [("", -1), *driver.seen], strict=False) if event != follows]
    assert first == [
        ("upload", 0),
        ("upload", 1),
        ("read", 0),
        ("upload", 0),
        ("read", 1),
        ("upload", 1),
        ("read", 0),
        ("read", 1),
    ]


def test_what_is_under_way_at_the_same_time_is_planned(netfile: Path) -> None:
    host = host_with(OpenCLBackend(ApartDriver()))
    net = opencl(netfile, host)
    (in_parts,) = net.plan_for((12, 3, 12, 12)).memory.devices
    (one_part,) = net.plan_for((3, 3, 12, 12)).memory.devices
    assert in_parts.arena == 2 * one_part.arena
    assert in_parts.border == 2 * one_part.border


@pytest.mark.parametrize("items", [1, 3, 7])
def test_small_batches_and_those_of_no_equal_parts_stay_whole(netfile: Path, items: int) -> None:
    net = opencl(netfile, host_with(OpenCLBackend(ApartDriver())))
    x = images(items, 3, 12, 12)
    np.testing.assert_allclose(net.compute(x), expected(netfile, x, ["sigmoid"])["sigmoid"], atol=1e-6)
    assert not overlaps(net)


@pytest.mark.parametrize("launches", [3, 9, 14])
@pytest.mark.parametrize("failure", [DeviceLostError, DeviceMemoryError])
def test_a_failure_in_one_part_is_recovered_from(netfile: Path, failure: type[CnnrtError], launches: int) -> None:
    driver, x = FailingOnce(), images(12, 3, 12, 12)
    driver.failure = failure
    net = opencl(netfile, host_with(OpenCLBackend(driver)))
    before = net.compute(x)
    opencl(netfile, host_with(OpenCLBackend(driver))).compute(x[:6])
    driver.left = launches
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DeviceWarning)
        after = net.compute(x)
    assert len(caught) == 1
    np.testing.assert_allclose(after, before, atol=1e-6)
    np.testing.assert_allclose(net.compute(x), before, atol=1e-6)
