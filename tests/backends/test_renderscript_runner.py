"""Runners: a network in another process, under an emulator of Arm processors, over adb; and what happens to lost ones.

There is no phone here: `renderscript_suite/stand_in_adb.py` runs the program of a 64-bit Arm phone under qemu.
"""

from __future__ import annotations

import functools
import os
import signal
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from cnnrt import CnnrtError, Net
from cnnrt.demo import demo_netfile
from cnnrt.errors import PlacementError
from cnnrt.layer import Array
from cnnrt.plugins import PluginHost, plugin_host
from cnnrt.testing.offered import extended
from cnnrt_backend_renderscript import runner_connection, runner_device, runner_protocol
from cnnrt_backend_renderscript.backend import RenderScriptBackend
from cnnrt_backend_renderscript.kernel_list import renderscript_kernels
from cnnrt_backend_renderscript.runner_connection import RunnerConnection, RunnerError, RunnerRefusal
from core_suite.ceilings import stream_everything
from core_suite.small_networks import filters, images, write_network
from netfile_spec import layer
from renderscript_suite import stand_in_adb

PROBLEMS = {device.name: device.problem for device in RenderScriptBackend().devices()}
EMULATED = ("qemu-aarch64", "qemu-arm")


def usable(device: str) -> str:
    """Return the device's name, or skip with the reason why it cannot be used."""
    if PROBLEMS.get(device, "there are no runners on this system"):
        pytest.skip(f"{device}: {PROBLEMS.get(device)}")
    return device


@functools.cache
def host() -> PluginHost:
    return extended(plugin_host(), backends=[RenderScriptBackend()], kernels=renderscript_kernels())


def net_on(device: str, netfile: Path | None = None, **settings: Any) -> Net:
    """Return a network, the demo's LeNet unless it is another, on a device and nowhere else."""
    return Net(netfile or demo_netfile(), plugins=host(), execution_mode="renderscript", device=device, strict=True,
               **settings)  # fmt: skip


def ran_on(net: Net) -> set[str]:
    """Return the devices that computed; views are computed nowhere."""
    return {row.device for row in net.plan.rows if row.backend == "renderscript"}


def digits(count: int = 3) -> Array:
    return np.random.default_rng(0).random((count, 1, 28, 28), dtype=np.float32) / 4


@functools.cache
def expected() -> Array:
    with Net(demo_netfile(), execution_mode="sequential", plugins=host()) as net:
        return np.asarray(net.compute(digits()))


def runners() -> list[psutil.Process]:
    """Return the runners that this process started, and no processes of other tests."""
    return [p for p in psutil.Process().children() if p.status() != psutil.STATUS_ZOMBIE and p.pid not in OTHERS]


OTHERS: set[int] = set()


@pytest.fixture(autouse=True, scope="module")
def other_processes() -> None:
    """Note what other tests in this process have left running."""
    OTHERS.update(p.pid for p in psutil.Process().children())


@pytest.fixture
def phone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A phone that adb sees; its folder takes faults."""
    usable("qemu-aarch64")
    folder = stand_in_adb.install(tmp_path)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(runner_device, "REMEMBERED_SECONDS", 0)
    yield folder
    assert not [name for name in stand_in_adb.stored(folder) if name.endswith(".part")], "half a program was left"


@pytest.mark.parametrize("device", ["runner", *EMULATED])
def test_a_network_computes_there_what_it_does_here(device: str) -> None:
    with net_on(usable(device)) as net:
        first = net.compute(digits())
        assert np.abs(first - expected()).max() <= 1e-6
        assert net.compute(digits()).tobytes() == first.tobytes()
        assert ran_on(net) == {device}


def test_a_network_computes_on_a_phone_by_adb(phone: Path) -> None:
    for name in ("adb", f"adb:{stand_in_adb.SERIAL}"):
        with net_on(name) as net:
            assert np.abs(net.compute(digits()) - expected()).max() <= 1e-6
            assert ran_on(net) == {f"adb:{stand_in_adb.SERIAL}"}


def test_what_lies_on_the_phone_is_not_copied_again(phone: Path) -> None:
    for _ in range(2):
        with net_on("adb") as net:
            net.compute(digits())
    assert len(stand_in_adb.pushed(phone)) == len(set(stand_in_adb.pushed(phone))) == len(stand_in_adb.stored(phone))
    stand_in_adb.wipe(phone)
    with net_on("adb") as net:
        assert np.abs(net.compute(digits()) - expected()).max() <= 1e-6


def test_devices_are_listed_with_what_they_are(phone: Path) -> None:
    listed = {device.name: device for device in RenderScriptBackend().devices()}
    assert {"host", "runner", *EMULATED, f"adb:{stand_in_adb.SERIAL}"} == set(listed)
    described = listed[f"adb:{stand_in_adb.SERIAL}"]
    assert (described.description, described.problem) == ("Stand In", "")
    assert described.details["abi"] == "arm64-v8a"
    assert "Stand In" in described.identity  # what is measured on one phone says nothing about another


def test_a_phone_that_has_not_agreed_is_named_with_what_to_do(phone: Path) -> None:
    (phone / "fault").write_text("unauthorized")
    with pytest.raises(PlacementError, match="unauthorized: allow USB debugging on the phone's screen"):
        net_on("adb").prepare(digits().shape)


def test_without_adb_the_device_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner_device, "find_adb", lambda: None)
    with pytest.raises(PlacementError, match="adb was not found: install adb"):
        net_on("adb").prepare(digits().shape)


def test_full_storage_is_an_error_and_leaves_nothing(phone: Path) -> None:
    net = net_on("adb")
    net.prepare(digits().shape)  # kernels are verified there, while there is room
    stand_in_adb.wipe(phone)
    (phone / "fault").write_text("full")
    with pytest.raises(CnnrtError, match=r"the runner \(\d+ KiB\) cannot be copied: .*No space left on device"):
        net.compute(digits())
    assert stand_in_adb.stored(phone) == []
    (phone / "fault").unlink()
    assert np.abs(net.compute(digits()) - expected()).max() <= 1e-6


@pytest.mark.parametrize("taken", [8, 100, 200])
def test_a_phone_that_is_unplugged_is_an_error_of_that_call(phone: Path, taken: int) -> None:
    net = net_on("adb")
    net.prepare(digits().shape)
    (phone / "fault").write_text(f"unplugged {taken}")  # in the greeting, in an answer, in the result
    with pytest.raises(RunnerError, match=rf"adb:{stand_in_adb.SERIAL}: the connection ended.*not found"):
        net.compute(digits())
    (phone / "fault").unlink()
    assert np.abs(net.compute(digits()) - expected()).max() <= 1e-6


def test_a_killed_runner_is_an_error_of_one_call_and_started_anew() -> None:
    with net_on(usable("runner")) as net:
        before = net.compute(digits())
        (runner,) = runners()
        runner.send_signal(signal.SIGKILL)
        with pytest.raises(RunnerError, match=r"renderscript:runner: the connection ended.*ended with status -9"):
            net.compute(digits())
        assert net.compute(digits()).tobytes() == before.tobytes()
    assert runners() == []


def test_runners_end_with_their_networks() -> None:
    for _ in range(3):
        with net_on(usable("runner")) as net:
            net.compute(digits())
            assert len(runners()) == 1
        assert runners() == []


def test_calls_from_several_threads_take_turns() -> None:
    results: list[Array] = []
    with net_on(usable("runner"), concurrency=2) as net:
        threads = [threading.Thread(target=lambda: results.append(net.compute(digits()))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(results) == 4
    assert all(np.abs(result - expected()).max() <= 1e-6 for result in results)


def test_a_forked_child_leaves_its_parents_runner_alone() -> None:
    with net_on(usable("runner")) as net:
        before = net.compute(digits())
        child = os.fork()
        if not child:  # nothing of pytest may run here
            equal = False
            try:
                equal = net.compute(digits()).tobytes() == before.tobytes()
            finally:
                os._exit(0 if equal else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert net.compute(digits()).tobytes() == before.tobytes()


def test_weights_that_are_streamed_are_sent_for_each_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netfile = write_network(
        tmp_path,
        [layer("FullyConnected", name, parameters_file=f"{name}.msg") for name in "abc"],
        {"a": filters(1, 200, 1000), "b": filters(2, 1000, 200), "c": filters(3, 200, 1000)},
    )  # 0.8 MiB each
    x = images(2, 1000)
    with net_on(usable("runner"), netfile) as net:
        kept = net.compute(x)
    stream_everything(monkeypatch)
    with net_on("runner", netfile) as streaming:
        assert streaming.compute(x).tobytes() == kept.tobytes()
        assert streaming.compute(x).tobytes() == kept.tobytes()
        assert streaming.plan.memory.resident == 0 < streaming.plan.memory.streamed


def test_a_profile_has_the_times_that_the_runner_took() -> None:
    with net_on(usable("runner")) as net:
        net.compute(digits())
        times = net.profile(digits()).layers
    assert sum(time.run_seconds > 0 for time in times) > 3


def speaking(text: str, *, stays: bool = True) -> Callable[[], RunnerConnection]:
    """Return what connects with a program that says what Python text computes as `said`, and stays until it is left."""
    waiting = "sys.stdin.read()" if stays else ""
    program = f"import sys, struct\n{text}\nsys.stdout.buffer.write(said)\nsys.stdout.flush()\n{waiting}"
    return lambda: RunnerConnection([sys.executable, "-c", program], "test", "0" * 64)


GREETING = "struct.pack('<IIQIIII64s', 0x53524E43, 1, 80, {version}, 8, 1, 0, b'{build}')"


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (GREETING.format(version=99, build="0" * 64), "speaks version 99 of the protocol, this is 1"),
        (GREETING.format(version=1, build="1" * 64), "another one than was built for this network"),
        ("b'/system/bin/sh: not found\\n'", "no message of a runner, but b'/system/bin/sh"),
        ("struct.pack('<IIQ', 0x53524E43, 1, 5) + b'hello'", "does not answer as a runner does"),
        ("struct.pack('<IIQ', 0x53524E43, 1, 1 << 60)", "no message of a runner"),
    ],
)  # fmt: skip
def test_whatever_speaks_otherwise_is_told_apart(said: str, error: str) -> None:
    with pytest.raises(RunnerError, match=error):
        speaking(f"said = {said}")()
    assert runners() == []


def test_half_a_greeting_is_none() -> None:
    with pytest.raises(RunnerError, match="the connection ended in the middle of a message; it ended with status 0"):
        speaking("said = struct.pack('<IIQ', 0x53524E43, 1, 80) + b'half'", stays=False)()


def test_who_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner_connection, "START_SECONDS", 0.2)
    with pytest.raises(RunnerError, match="nothing came for 0 seconds"):
        speaking("said = b''")()
    assert runners() == []


def test_what_cannot_be_started_says_so() -> None:
    with pytest.raises(RunnerError, match=r"/nowhere/runner cannot be started: .*No such file"):
        RunnerConnection(["/nowhere/runner"], "test", "")


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[RunnerConnection]:
    """A runner with the script of element-wise functions and two buffers of four values."""
    from cnnrt_backend_renderscript.runner_build import build_runner
    from cnnrt_backend_renderscript.runner_target import NATIVE, Toolchain, find_toolchain
    from cnnrt_backend_renderscript.script import Script

    usable("runner")
    toolchain = find_toolchain(NATIVE)
    assert isinstance(toolchain, Toolchain)
    runner = build_runner([Script("elementwise", {})], toolchain)
    program = tmp_path / "runner"
    program.write_bytes(runner.program)
    program.chmod(0o700)
    connected = RunnerConnection([str(program)], "test", runner.build)
    connected.send(runner_protocol.allocate_message(16, [(0, 4), (None, 4)]))
    connected.settle()
    yield connected
    connected.close()


def launch_of(*words: int) -> bytes:
    return runner_protocol.message(runner_protocol.PROGRAM, struct.pack(f"<{1 + len(words)}I", 1, *words))


NONE = runner_protocol.NO_BUFFER


@pytest.mark.parametrize(
    ("request_", "refusal"),
    [
        (runner_protocol.message(77, b"abc"), "a request that is not known"),
        (runner_protocol.allocate_message(16, [(8, 4)]), "ALLOCATE: a buffer beyond the arena"),
        (runner_protocol.allocate_message(16, [(2**63, 4)]), "ALLOCATE: a buffer beyond the arena"),
        (runner_protocol.allocate_message(2**62, []), "ALLOCATE: out of memory"),
        (runner_protocol.message(runner_protocol.ALLOCATE, bytes(17)), "ALLOCATE: of another length"),
        (runner_protocol.write_head(0, 8, 12) + bytes(12), "WRITE: beyond a buffer"),
        (runner_protocol.write_head(0, 2**64 - 4, 8) + bytes(8), "WRITE: beyond a buffer"),
        (runner_protocol.write_head(2, 0, 4) + bytes(4), "WRITE: beyond a buffer"),
        (runner_protocol.read_message(1, 0, 17), "READ: beyond a buffer"),
        (runner_protocol.read_message(1, 2**64 - 1, 2), "READ: beyond a buffer"),
        (runner_protocol.message(runner_protocol.READ, bytes(3)), "READ: of another length"),
        (runner_protocol.launch_message(0, 1, 1), "LAUNCH: launches that are not there"),
        (runner_protocol.message(runner_protocol.PROGRAM, struct.pack("<I", 2**32 - 1)), "PROGRAM: of another length"),
        (launch_of(1, 0, 4, NONE, 0, 0), "PROGRAM: a script that is not there"),
        (launch_of(0, 99, 4, NONE, 0, 0), "PROGRAM: a kernel that is not there"),
        (launch_of(0, 0, 4, NONE, 99, 0), "PROGRAM: too many inputs or globals"),
        (launch_of(0, 0, 4, 2, 0, 0), "PROGRAM: a buffer that is not there"),
        (launch_of(0, 0, 4, NONE, 0, 1, 99, 0, 0), "PROGRAM: a global that is not there"),
        (launch_of(0, 0, 4, NONE, 0, 1, 0, 1, 2), "PROGRAM: a buffer that is not there"),
        (launch_of(0, 0, 4, NONE, 0, 0, 5), "PROGRAM: of another length"),
    ],
)
def test_a_request_that_asks_for_what_is_not_there_is_refused(
    connection: RunnerConnection, request_: bytes, refusal: str
) -> None:
    connection.send(request_)
    with pytest.raises(RunnerRefusal, match=refusal):
        connection.settle()
    connection.send(runner_protocol.allocate_message(0, [(None, 2)]))  # and the runner is as good as before
    connection.send(runner_protocol.write_head(0, 0, 8), np.asarray([1.5, -2], np.float32))
    connection.send(runner_protocol.read_message(0, 0, 8))
    assert np.frombuffer(connection.settle(), np.float32).tolist() == [1.5, -2]


def test_a_client_that_leaves_in_the_middle_ends_the_runner(connection: RunnerConnection) -> None:
    (runner,) = runners()
    connection.send(runner_protocol.HEADER.pack(runner_protocol.MAGIC, runner_protocol.WRITE, 100))
    connection.close()
    assert not psutil.pid_exists(runner.pid)
