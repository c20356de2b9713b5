"""How many threads work for a Net: at most what the user allows, and what the process may use by now."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("llvmlite", reason="the threaded backend needs llvmlite")

from cnnrt import Net, hardware
from cnnrt.control_groups import GroupLimits
from cnnrt.layer import Array
from cnnrt.plugins import PluginHost, plugin_host
from cnnrt.stored_weights import HeldWeights, RowsOfFile
from cnnrt.testing.offered import offered
from cnnrt_backend_threaded import machine_code, segment, weight_packing
from cnnrt_backend_threaded.backend import ThreadedBackend
from cnnrt_backend_threaded.compile_children import CompileChildren
from cnnrt_backend_threaded.kernels import threaded_kernels
from cnnrt_backend_threaded.target import Machine, host_target
from cnnrt_backend_threaded.workers import Workers
from core_suite.small_networks import filters, images, write_network
from netfile_spec import layer

LAYERS = [
    layer("Convolution", "conv1", pad=1),
    layer("Convolution", "conv2", pad=1),
    layer("Pooling", "pool", kernel_size=2, stride=2),
    layer("FullyConnected", "ip"),
    layer("Softmax", "prob"),
]
WEIGHTS = {"conv1": filters(0, 70, 16, 3, 3), "conv2": filters(1, 40, 70, 3, 3), "ip": filters(2, 100, 40 * 16)}
X = images(2, 16, 8, 8)


@pytest.fixture
def netfile(tmp_path: Path) -> Path:
    return write_network(tmp_path, LAYERS, WEIGHTS)


def host(machine: Machine | None) -> PluginHost:
    layers = list(plugin_host().layers().values())
    return offered(layers=layers, backends=[ThreadedBackend(machine)], kernels=threaded_kernels(machine))


@pytest.fixture(params=["off", "on"])
def auto_tuning(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Nothing is known, measured or verified yet."""
    monkeypatch.setenv("CNNRT_CACHE", str(tmp_path / "cache"))
    return str(request.param)


@pytest.fixture
def readers(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The names of the threads that read rows of weights: of the network, and those of trials."""
    found: set[str] = set()
    for kind in (RowsOfFile, HeldWeights):
        monkeypatch.setattr(kind, "rows", _noting(kind.rows, found))
    return found


def _noting(rows: Any, found: set[str]) -> Any:
    def noting(stored: object, name: str, *place: Any) -> Array:
        if name == "weight":
            found.add(threading.current_thread().name)
        result: Array = rows(stored, name, *place)
        return result

    return noting


def test_weights_are_packed_by_no_more_threads_than_allowed(
    netfile: Path, auto_tuning: str, readers: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The network's own, and those of kernels that are verified and measured."""
    monkeypatch.setattr(weight_packing, "SMALL", 0)
    monkeypatch.setattr(weight_packing, "PIECE", 1 << 12)
    three = host(Machine(host_target(), 3))

    def prepared(threads: int | None) -> set[str]:
        readers.clear()
        with Net(
            netfile, execution_mode="threaded", plugins=three, threads=threads, auto_tuning=auto_tuning, tuning_budget=1
        ) as net:
            net.prepare(X.shape)
        return set(readers)

    assert prepared(1) == {threading.current_thread().name}
    for threads, most in ((2, 2), (None, 3)):
        packing = {name for name in prepared(threads) if name.startswith("cnnrt-packing")}
        places = {name.rpartition("_")[2] for name in packing}
        assert places
        assert places <= {str(place) for place in range(most)}


@pytest.mark.parametrize("threads", [1, 2])
def test_code_is_compiled_by_no_more_processes_than_threads_are_allowed(
    netfile: Path, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    monkeypatch.setenv("CNNRT_CACHE", "")
    monkeypatch.setattr(machine_code, "_functions", {})
    begin, begun = CompileChildren.__init__, []

    def noting(children: CompileChildren, count: int) -> None:
        begun.append(count)
        begin(children, count)

    monkeypatch.setattr(CompileChildren, "__init__", noting)
    with Net(netfile, execution_mode="threaded", plugins=host(Machine(host_target(), 4)), threads=threads) as net:
        net.prepare(X.shape)
    assert max(begun) == threads


def test_memory_is_planned_for_the_threads_that_work_not_for_all_cores(netfile: Path) -> None:
    many = host(Machine(host_target(), 64))

    def arena(threads: int | None) -> int:
        return Net(netfile, execution_mode="threaded", plugins=many, threads=threads).plan_for(X.shape).memory.arena

    assert arena(1) < arena(2) < arena(64) == arena(None)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of threads of each native call."""
    found: list[int] = []
    run = Workers.run

    def noting(team: Workers, steps: int, count: int, lines: int, threads: int, *rest: Any) -> None:
        found.append(threads)
        run(team, steps, count, lines, threads, *rest)

    monkeypatch.setattr(Workers, "run", noting)
    return found


@pytest.fixture
def quota(monkeypatch: pytest.MonkeyPatch) -> list[float | None]:
    """What the control group pays for, of three processors; it is looked at for each call."""
    pays: list[float | None] = [None]
    monkeypatch.setattr(hardware, "read_group_limits", lambda *_: GroupLimits(cpus=pays[0]))
    for module in (hardware, segment):
        monkeypatch.setattr(module, "allowed_cores", lambda: {0, 1, 2})
    monkeypatch.setattr(hardware, "QUOTA_SECONDS", 0.0)
    monkeypatch.setattr(hardware, "_quota_until", 0.0)  # what was seen before counts no more
    return pays


def test_a_quota_that_changes_changes_the_threads_and_no_bit(
    netfile: Path, quota: list[float | None], calls: list[int]
) -> None:
    net = Net(netfile, execution_mode="threaded", plugins=host(None))
    expected = net.compute(X)
    for pays, threads in ((None, 3), (1.5, 2), (0.5, 1), (2.0, 2), (8.0, 3)):
        quota[0] = pays
        calls.clear()
        assert (net.compute(X) == expected).all()
        assert set(calls) == {threads}


def test_a_net_that_was_planned_for_few_threads_stays_with_them(
    netfile: Path, quota: list[float | None], calls: list[int]
) -> None:
    """Its memory is planned for so many; one that is made later takes all that there are, and gives the same bits."""
    quota[0] = 2.0
    net = Net(netfile, execution_mode="threaded", plugins=host(None))
    expected = net.compute(X)
    quota[0] = None
    calls.clear()
    net.compute(X)
    assert set(calls) == {2}
    calls.clear()
    later = Net(netfile, execution_mode="threaded", plugins=host(None))
    assert (later.compute(X) == expected).all()
    assert max(calls) == 3


AFFINITY = """
import json, os, sys, threading
import numpy as np
from cnnrt import Net
from cnnrt_backend_threaded import segment
from cnnrt_backend_threaded.workers import Workers

both, seen = sorted(os.sched_getaffinity(0))[:2], []
run = Workers.run

def noting(team, steps, count, lines, threads, *rest):
    seen.append(threads)
    run(team, steps, count, lines, threads, *rest)

Workers.run = noting
os.sched_setaffinity(0, both)
net = Net(sys.argv[1], execution_mode="threaded")
x = np.load(sys.argv[2])
expected = net.compute(x)
told = []
usable = segment.usable_cores

def compute(allowed, pretended=usable):
    os.sched_setaffinity(0, allowed)
    segment.usable_cores = pretended
    seen.clear()
    same = bool((net.compute(x) == expected).all())
    workers = [t for t in threading.enumerate() if t.name.startswith("cnnrt-worker")]
    places = [[both.index(core) for core in os.sched_getaffinity(t.native_id)] for t in workers]
    told.append([same, sorted(set(seen)), places])

compute(both)
compute(both[:1])
compute(both)
compute(both[1:], lambda allowed: 2)  # two threads although there is one processor: the worker must go there too
compute(both)
print(json.dumps(told))
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system cannot bind a process to processors")
def test_affinity_that_changes_is_followed_by_threads_and_workers(netfile: Path, tmp_path: Path) -> None:
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("this process may run on one processor only")
    np.save(tmp_path / "x.npy", X)
    environment = {name: value for name, value in os.environ.items() if name != "CNNRT_PLUGINS_BLOCK"}
    command = [sys.executable, "-c", AFFINITY, str(netfile), str(tmp_path / "x.npy")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    everywhere, alone, again, elsewhere, at_last = json.loads(done.stdout)
    assert everywhere == again == at_last == [True, [2], [[0, 1]]]
    assert alone[:2] == [True, [1]]
    assert elsewhere == [True, [2], [[1]]]
