"""Which devices of OpenCL there are, what users may call them, and what is said where there is none."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

pytest.importorskip("pyopencl", reason="the OpenCL backend needs pyopencl")

from cnnrt import Net
from cnnrt.cli.devices import devices as devices_command
from cnnrt.device_choice import Request, choose_devices
from cnnrt.errors import PlacementError
from cnnrt_backend_opencl.backend import OpenCLBackend
from cnnrt_backend_opencl.discovery import find_devices
from cnnrt_backend_opencl.driver import Driver, Handle
from cnnrt_backend_opencl.limits import limits_of
from core_suite.small_networks import images, write_network
from netfile_spec import layer
from opencl_suite.drivers import StubDriver
from opencl_suite.kernels import host_with

GPU, CPU = 4, 2


class Computer(StubDriver):
    """A computer with these devices: (platform, name, kind, facts)."""

    def __init__(self, *devices: tuple[str, str, int, dict[str, Any]]) -> None:
        super().__init__()
        self._devices = devices

    def platforms(self) -> list[Handle]:
        names = dict.fromkeys(platform for platform, *_ in self._devices)
        return [SimpleNamespace(name=name, version="OpenCL 3.0") for name in names]

    def devices(self, platform: Handle) -> list[Handle]:
        return [
            SimpleNamespace(**{**self._facts, "name": name, "type": kind, **facts})
            for of, name, kind, facts in self._devices
            if of == platform.name
        ]


WORKSTATION = (
    ("Portable Computing Language", "pthread-i7", CPU, {}),
    ("NVIDIA CUDA", "NVIDIA H200", GPU, {}),
    ("NVIDIA CUDA", "NVIDIA T4", GPU, {}),
    ("Intel(R) OpenCL", "i7", CPU, {}),
)


def test_graphics_processors_come_first_and_names_are_short() -> None:
    devices = OpenCLBackend(Computer(*WORKSTATION)).devices()
    assert [d.title for d in devices] == ["opencl:nvidia", "opencl:nvidia:1", "opencl:pocl", "opencl:intel"]
    assert [d.problem for d in devices] == [""] * 4
    assert [limits_of(d).cpu for d in devices] == [False, False, True, True]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("nvidia", "NVIDIA H200"),
        ("NVIDIA:1", "NVIDIA T4"),
        ("opencl:nvidia:1", "NVIDIA T4"),
        ("1", "NVIDIA T4"),
        ("pocl", "pthread-i7"),
        ("2", "pthread-i7"),
        ("Nvidia T4", "NVIDIA T4"),
    ],
)
def test_a_device_is_asked_for_by_platform_number_or_name(asked: str, found: str) -> None:
    (device,) = choose_devices(host_with(OpenCLBackend(Computer(*WORKSTATION))), Request("opencl", asked))
    assert device.description.startswith(found)


def test_a_device_that_is_not_there_is_an_error_that_lists_those_that_are(tmp_path: Path) -> None:
    net = Net(
        write_network(tmp_path, [layer("ReLU", "relu")]),
        execution_mode="opencl",
        device="amd",
        plugins=host_with(OpenCLBackend(Computer(*WORKSTATION))),
    )
    with pytest.raises(PlacementError, match=r"no device is named 'amd' .*opencl:nvidia, opencl:nvidia:1, opencl:pocl"):
        net.compute(images(1, 3))


def test_processors_count_for_parallel_only_where_they_are_asked_for() -> None:
    host = host_with(OpenCLBackend(Computer(*WORKSTATION)))

    def titles(request: Request) -> list[str]:
        return [d.title for d in choose_devices(host, request)]

    assert titles(Request("parallel")) == ["opencl:nvidia", "opencl:nvidia:1", "sequential:cpu"]
    assert titles(Request("parallel", "pocl")) == ["opencl:pocl"]
    only_cpu = host_with(OpenCLBackend(Computer(WORKSTATION[0])))
    assert [d.title for d in choose_devices(only_cpu, Request("parallel"))] == ["sequential:cpu"]
    assert [d.title for d in choose_devices(only_cpu, Request("opencl"))] == ["opencl:pocl"]


@pytest.mark.parametrize(
    ("facts", "problem"),
    [
        ({"version": "OpenCL 1.1 old"}, "it offers OpenCL 1.1 old, OpenCL 1.2 is needed"),
        ({"version": "OpenCL"}, "OpenCL 1.2 is needed"),
        ({"available": False}, "not available"),
        ({"compiler_available": False}, "brings no compiler"),
        ({"mem_base_addr_align": 1 << 16}, "aligns parts of buffers to 8192 bytes"),
    ],
)
def test_a_device_that_cannot_be_used_says_why(facts: dict[str, Any], problem: str) -> None:
    backend = OpenCLBackend(Computer(("Clover", "old card", GPU, facts)))
    (device,) = backend.devices()
    assert problem in device.problem
    assert backend.devices_beside() == []


class Nothing(Computer):
    """No driver at all, a broken one, or a platform whose devices cannot be listed."""

    def __init__(self, failing: str = "") -> None:
        super().__init__()
        self.failing = failing

    def platforms(self) -> list[Handle]:
        if self.failing == "import":
            raise ImportError("libOpenCL.so.1: cannot open shared object file")
        return [SimpleNamespace(name="Broken", version="")] if self.failing == "devices" else []

    def devices(self, platform: Handle) -> list[Handle]:
        raise RuntimeError("no")


@pytest.mark.parametrize(
    ("failing", "told"),
    [
        (
            "",
            r'no platform with a device is here; install .* or PoCL by pip install "cnnrt\[opencl\]"',
        ),
        ("import", r'pyopencl cannot be imported \(libOpenCL.so.1.*: pip install "cnnrt\[opencl\]"'),
        ("devices", "the platform Broken does not list its devices"),
    ],
)
def test_no_opencl_is_an_error_only_where_it_was_asked_for(tmp_path: Path, failing: str, told: str) -> None:
    host, x = host_with(OpenCLBackend(Nothing(failing))), images(1, 3)
    path = write_network(tmp_path, [layer("ReLU", "relu")])
    Net(path, plugins=host).compute(x)
    with pytest.raises(PlacementError, match=told):
        Net(path, execution_mode="opencl", plugins=host).compute(x)


def test_without_pyopencl_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cnnrt_backend_opencl.driver.find_spec", lambda name: None)
    (found,) = find_devices(Driver())
    assert OpenCLBackend().devices_beside() == ()
    assert found.device.problem == 'pyopencl is not installed: pip install "cnnrt[opencl]"'


def test_the_driver_is_a_part_of_a_devices_identity() -> None:
    def identity(**facts: Any) -> str:
        (device,) = OpenCLBackend(Computer(("NVIDIA CUDA", "NVIDIA T4", GPU, facts))).devices()
        return device.identity

    assert identity() == identity()
    assert len({identity(), identity(driver_version="2"), identity(version="OpenCL 3.0 CUDA")}) == 3


def test_devices_are_listed_for_users(monkeypatch: pytest.MonkeyPatch) -> None:
    host = host_with(OpenCLBackend(Computer(*WORKSTATION, ("Clover", "old", GPU, {"available": False}))))
    monkeypatch.setattr("cnnrt.plugins.plugin_host", lambda: host)
    shown = CliRunner().invoke(devices_command, ["--verbose"])
    assert shown.exit_code == 0, shown.output
    lines = [line.split() for line in shown.output.splitlines()]
    assert ["opencl", "nvidia:1", "NVIDIA", "T4", "yes"] in lines
    assert "pthread-i7 (the processor, not counted for parallel)" in shown.output
    assert "no: its driver says that it is not available" in shown.output
    assert "largest buffer" in shown.output


@pytest.mark.skipif(sys.platform != "linux", reason="where drivers are listed in files")
def test_a_computer_without_other_devices_pays_nothing_for_opencl(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is installed is told by the names of the drivers' files, so that none is loaded for parallel."""
    monkeypatch.delenv("OCL_ICD_FILENAMES", raising=False)
    monkeypatch.setenv("OCL_ICD_VENDORS", str(tmp_path))
    assert Driver().only_processors
    (tmp_path / "pocl.icd").touch()
    (tmp_path / "intelocl64.icd").touch()
    assert Driver().only_processors
    script = """
import sys
from cnnrt.demo import demo_netfile
from cnnrt import Net
import numpy as np
net = Net(demo_netfile())
net.compute(np.zeros((1, 1, 28, 28), np.float32))
assert "cnnrt_backend_opencl.backend" in sys.modules
assert "pyopencl" not in sys.modules
"""
    environment = {**os.environ, "CNNRT_PLUGINS_BLOCK": "backend.threaded"}
    subprocess.run([sys.executable, "-c", script], check=True, timeout=100, env=environment)
    (tmp_path / "nvidia.icd").touch()
    assert not Driver().only_processors


class Counting(Driver):
    """Notes on how many compute units a queue works."""

    def __init__(self) -> None:
        self.units: list[int] = []

    def queue(self, context: Handle, device: Handle, *, timed: bool = False) -> Handle:
        self.units.append(int(device.max_compute_units))
        return super().queue(context, device, timed=timed)


def test_a_processor_computes_on_as_many_cores_as_there_may_be_threads(tmp_path: Path) -> None:
    driver = Counting()
    backend = OpenCLBackend(driver)
    (limits,) = (limits_of(d) for d in backend.devices() if d.name == "pocl")
    if limits.compute_units < 2:
        pytest.skip("one core cannot be shared out")
    path, x = write_network(tmp_path, [layer("ReLU", "relu")]), images(2, 5)
    with Net(path, execution_mode="opencl", device="pocl", threads=1, plugins=host_with(backend)) as net:
        assert np.array_equal(net.compute(x), np.maximum(x, 0))
        assert set(driver.units) == {1}
        assert f"opencl:pocl computes on 1 of its {limits.compute_units} compute units" in net.plan.notes
    with Net(path, execution_mode="opencl", device="pocl", plugins=host_with(backend)) as net:
        assert np.array_equal(net.compute(x), np.maximum(x, 0))
        assert max(driver.units) == limits.compute_units
        assert not any("compute units" in note for note in net.plan.notes)


def test_where_a_processor_cannot_be_shared_out_the_plan_says_so(tmp_path: Path) -> None:
    host = host_with(OpenCLBackend(Computer(("Old OpenCL", "old", CPU, {"max_compute_units": 8}))))
    with Net(write_network(tmp_path, [layer("ReLU", "relu")]), execution_mode="opencl", threads=2, plugins=host) as net:
        assert any("takes as many threads as it likes" in note for note in net.plan_for((2, 5)).notes)


def test_pocl_is_here() -> None:
    """So that this suite cannot pass on stubs alone: the extra `test` brings it where it has wheels."""
    found = {d.name: d for d in OpenCLBackend().devices()}
    if "pocl" not in found:
        pytest.skip(f"PoCL has no wheel here: {', '.join(found)}")
    assert found["pocl"].problem == ""
    assert "PoCL" in found["pocl"].details["platform version"]
    assert limits_of(found["pocl"]).cpu
