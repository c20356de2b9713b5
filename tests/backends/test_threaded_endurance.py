"""The threaded backend for a long time: thousands of runs of several threads and Nets, forks and closed Nets between.

Nothing may change a bit, and nothing may pile up: memory, threads, open files.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest

pytest.importorskip("llvmlite", reason="the threaded backend needs llvmlite")

from cnnrt import Net, hardware
from cnnrt.control_groups import read_group_limits
from cnnrt.layer import Array
from cnnrt.plugins import PluginHost, plugin_host
from cnnrt.testing.offered import offered
from cnnrt_backend_threaded.backend import ThreadedBackend
from cnnrt_backend_threaded.kernels import threaded_kernels
from cnnrt_backend_threaded.target import Machine, host_target
from core_suite.small_networks import filters, images, write_network
from netfile_spec import layer

RUNS = 10_000
CALLERS = 4
BATCHES = (1, 3, 8)
MIB = 1 << 20
MOST_GROWTH = 6 * MIB
"""Of the process's memory in thousands of runs, after as many that warm it up."""
PATIENCE = 20.0


def write(folder: Path, seed: int) -> Path:
    """Write a network with something of every kind: Winograd, direct, window, and panel kernels."""
    layers = [
        layer("Convolution", "conv1", pad=1),
        layer("ReLU", "relu1"),
        layer("LRN", "norm1"),
        layer("Pooling", "pool1", kernel_size=2, stride=2),
        layer("Convolution", "conv2", pad=2),
        layer("FullyConnected", "ip"),
        layer("Softmax", "prob"),
    ]
    weights = {
        "conv1": filters(seed, 8, 3, 3, 3),
        "conv2": filters(seed + 1, 17, 8, 5, 5),
        "ip": filters(seed + 2, 10, 17 * 4 * 4),
    }
    folder.mkdir()
    return write_network(folder, layers, weights)


def host(cores: int = 2) -> PluginHost:
    machine = Machine(host_target(), cores)
    layers = list(plugin_host().layers().values())
    return offered(layers=layers, backends=[ThreadedBackend(machine)], kernels=threaded_kernels(machine))


class Crowd:
    """Nets of one and two threads, and what each has to answer to each batch: its own first answer."""

    def __init__(self, folder: Path) -> None:
        self.host = host()
        self.netfiles = [write(folder / str(number), 10 * number) for number in range(2)]
        self.inputs = [images(batch, 3, 8, 8, seed=batch) for batch in BATCHES]
        self.nets = [self.open(netfile, threads) for netfile in self.netfiles for threads in (1, 2)]
        self.expected = [[net.compute(x) for x in self.inputs] for net in self.nets]
        self.failures: list[object] = []

    def open(self, netfile: Path, threads: int) -> Net:
        return Net(netfile, execution_mode="threaded", strict=True, plugins=self.host, threads=threads)

    def call(self, choose: random.Random) -> bool:
        """Compute something; tell whether the answer was the first one, bit by bit."""
        net, x = choose.randrange(len(self.nets)), choose.randrange(len(self.inputs))
        return np.array_equal(self.nets[net].compute(self.inputs[x]), self.expected[net][x])

    def work(self, seed: int, runs: int) -> None:
        choose = random.Random(seed)
        try:
            for number in range(runs):
                if not self.call(choose):
                    self.failures.append(f"another answer in run {number}")
        except Exception as error:
            self.failures.append(error)

    def open_and_close(self, seed: int) -> None:
        """Open another Net of one of the files, and close it after a call."""
        number = seed % len(self.nets)
        with self.open(self.netfiles[number // 2], 1 + number % 2) as net:
            x = seed % len(self.inputs)
            if not np.array_equal(net.compute(self.inputs[x]), self.expected[number][x]):
                self.failures.append("another answer of a Net that was opened anew")

    def together(self, runs: int, between: Callable[[int], None]) -> None:
        """Let all callers work at once, and do `between` until they are done."""
        callers = [
            threading.Thread(target=self.work, args=(seed, runs // CALLERS), daemon=True) for seed in range(CALLERS)
        ]
        for caller in callers:
            caller.start()
        number = 0
        while any(caller.is_alive() for caller in callers):
            between(number)
            number += 1
            time.sleep(0.02)
        for caller in callers:
            caller.join(PATIENCE)


def in_a_child(work: Callable[[], bool]) -> None:
    """Do `work` in a forked child, which must come back with True."""
    with warnings.catch_warnings():  # Python 3.12 warns of forking with threads: that is what is tested
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if work() else 2
        finally:
            os._exit(code)
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            assert os.waitstatus_to_exitcode(status) == 0, "1: the child failed, 2: it computed something else"
            return
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    pytest.fail(f"the forked child hangs: it did not come back within {PATIENCE:.0f} s")


def footprint() -> tuple[int, int, int]:
    """Return the bytes, threads and open files of this process."""
    process = psutil.Process()
    return process.memory_info().rss, process.num_threads(), process.num_fds()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_thousands_of_runs_change_no_bit_and_leave_nothing_behind(tmp_path: Path) -> None:
    crowd = Crowd(tmp_path)

    def between(number: int) -> None:
        crowd.open_and_close(number)
        if number % 10 == 5:
            choose = random.Random(number)
            in_a_child(lambda: all(crowd.call(choose) for _ in range(10)))

    crowd.together(RUNS // 2, between)
    memory, threads, files = footprint()
    crowd.together(RUNS // 2, between)
    assert crowd.failures == []
    grown, threads_after, files_after = footprint()
    assert grown - memory < MOST_GROWTH, f"memory grew by {(grown - memory) / MIB:.1f} MiB"
    assert (threads_after, files_after) == (threads, files)


def test_nets_that_are_closed_give_their_memory_back(tmp_path: Path) -> None:
    layers = [layer("FullyConnected", "ip1"), layer("FullyConnected", "ip2")]
    weights = {"ip1": filters(0, 1024, 1024), "ip2": filters(1, 1024, 1024)}
    netfile, plugins, x = write_network(tmp_path, layers, weights), host(), images(2, 1024)

    def use() -> Array:
        with Net(netfile, execution_mode="threaded", plugins=plugins) as net:
            result: Array = net.compute(x)
            return result

    expected = use()
    before = psutil.Process().memory_info().rss
    for _ in range(20):
        assert np.array_equal(use(), expected)
    assert psutil.Process().memory_info().rss - before < 3 * 8 * MIB, (
        "each Net holds 8 MiB of weights, so 20 would be 160"
    )


def test_two_nets_at_once_both_get_their_turns(tmp_path: Path) -> None:
    plugins = host()
    nets = [
        Net(write(tmp_path / str(n), 10 * n), execution_mode="threaded", plugins=plugins, threads=2) for n in range(2)
    ]
    x = images(8, 3, 8, 8)
    for net in nets:
        net.compute(x)
    counts = [0, 0]
    start, until = threading.Barrier(2), time.monotonic() + 1.0

    def work(number: int) -> None:
        start.wait(PATIENCE)
        while time.monotonic() < until:
            nets[number].compute(x)
            counts[number] += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert min(counts) > 10
    assert max(counts) < 3 * min(counts), counts


AFFINITY = """
import os, sys, threading
import numpy as np
allowed = sorted(os.sched_getaffinity(0))[:1]
os.sched_setaffinity(0, allowed)
from cnnrt import Net
from cnnrt.demo import demo_netfile
from cnnrt.plugins import plugin_host
net = Net(demo_netfile(), execution_mode="threaded", threads=8)
for _ in range(20):
    net.compute(np.ones((4, 1, 28, 28), np.float32))
print(plugin_host().backends()["threaded"].devices()[0].details["threads used"])
print(sum(thread.name.startswith("cnnrt-worker") for thread in threading.enumerate()))
print(sorted(os.sched_getaffinity(0)) == allowed)
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system cannot bind a process to processors")
def test_no_more_threads_than_processors_that_the_process_is_bound_to() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "CNNRT_PLUGINS_BLOCK"}
    command = [sys.executable, "-c", AFFINITY]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["1", "0", "True"]


@pytest.fixture
def half_a_processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A control group that pays for half of one, as in a container; it is looked at each time."""
    files = {
        "proc/self/cgroup": "0::/\n",
        "proc/self/mountinfo": "29 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n",
        "sys/fs/cgroup/cpu.max": "50000 100000\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)

    monkeypatch.setattr(hardware, "read_group_limits", lambda *_: read_group_limits(tmp_path))
    monkeypatch.setattr(hardware, "QUOTA_SECONDS", 0.0)
    monkeypatch.setattr(hardware, "_quota_until", 0.0)  # what was seen before counts no more


@pytest.mark.usefixtures("half_a_processor")
def test_no_more_threads_than_a_control_group_pays_for() -> None:
    assert ThreadedBackend().devices()[0].details["threads used"] == "1"
