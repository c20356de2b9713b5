"""Threads of the threaded backend: they give the same bits whatever happens, share the cores, and survive a fork."""

from __future__ import annotations

import multiprocessing
import os
import random
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("llvmlite", reason="the threaded backend needs llvmlite")

from cnnrt import Net
from cnnrt.plugins import PluginHost, plugin_host
from cnnrt.testing.offered import offered
from cnnrt_backend_threaded import workers
from cnnrt_backend_threaded.backend import ThreadedBackend
from cnnrt_backend_threaded.kernels import threaded_kernels
from cnnrt_backend_threaded.target import Machine, host_target
from cnnrt_backend_threaded.turns import Turns
from cnnrt_backend_threaded.workers import AWAKE_SECONDS
from core_suite.small_networks import filters, images, write_network
from netfile_spec import layer

LAYERS = [
    layer("Convolution", "conv1", pad=1),
    layer("ReLU", "relu1"),
    layer("LRN", "norm1"),
    layer("Pooling", "pool1", kernel_size=2, stride=2),
    layer("Convolution", "conv2"),
    layer("FullyConnected", "ip"),
    layer("Softmax", "prob"),
]


def write(folder: Path, seed: int = 0) -> Path:
    weights = {
        "conv1": filters(seed, 20, 3, 3, 3),
        "conv2": filters(seed + 1, 33, 20, 3, 3),
        "ip": filters(seed + 2, 10, 33 * 4 * 4),
    }
    return write_network(folder, LAYERS, weights)


def host(cores: int) -> PluginHost:
    machine = Machine(host_target(), cores)
    layers = list(plugin_host().layers().values())
    return offered(layers=layers, backends=[ThreadedBackend(machine)], kernels=threaded_kernels(machine))


@pytest.fixture
def netfile(tmp_path: Path) -> Path:
    return write(tmp_path)


def threaded(netfile: Path, cores: int = 2, **options: object) -> Net:
    return Net(netfile, execution_mode="threaded", strict=True, plugins=host(cores), **options)  # type: ignore[arg-type]


def test_the_result_is_that_of_the_sequential_backend(netfile: Path) -> None:
    x = images(5, 3, 12, 12)
    expected = Net(netfile, execution_mode="sequential").compute(x)
    np.testing.assert_allclose(threaded(netfile).compute(x), expected, atol=1e-6)


@pytest.mark.parametrize("batch", [1, 2, 7])
def test_bits_depend_neither_on_the_number_of_threads_nor_on_the_run(netfile: Path, batch: int) -> None:
    x = images(batch, 3, 12, 12)
    nets = [threaded(netfile, 3, threads=threads) for threads in (1, 2, 3)]
    expected = nets[0].compute(x)
    for net in nets:
        for _ in range(200):
            assert np.array_equal(net.compute(x), expected)


def test_workers_that_fell_asleep_take_part_again(netfile: Path) -> None:
    net, x = threaded(netfile), images(3, 3, 12, 12)
    expected = net.compute(x)
    for _ in range(20):
        time.sleep(3 * AWAKE_SECONDS)
        assert np.array_equal(net.compute(x), expected)


def test_no_more_threads_are_used_than_allowed(netfile: Path) -> None:
    x = images(2, 3, 12, 12)
    alone = threaded(netfile, 3, threads=1)
    before = {t.name for t in threading.enumerate()}
    alone.compute(x)
    assert {t.name for t in threading.enumerate()} == before
    threaded(netfile, 3).compute(x)
    assert len([t for t in threading.enumerate() if t.name.startswith("cnnrt-worker")]) >= 2


def test_several_nets_in_several_threads_keep_apart(tmp_path: Path) -> None:
    """Thousands of calls of four threads on three networks, one of them with two arenas."""
    nets = []
    for number in range(3):
        folder = tmp_path / str(number)
        folder.mkdir()
        nets.append(threaded(write(folder, 10 * number), 2 + number % 2, concurrency=1 + number % 2))
    inputs = [images(n, 3, 12, 12, seed=n) for n in (1, 3, 16)]
    expected = [[net.compute(x) for x in inputs] for net in nets]
    failures: list[object] = []

    def work(seed: int) -> None:
        try:
            choose = random.Random(seed)
            for _ in range(500):
                net, x = choose.randrange(3), choose.randrange(3)
                if not np.array_equal(nets[net].compute(inputs[x]), expected[net][x]):
                    failures.append((net, x))
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_has_workers_of_its_own(netfile: Path) -> None:
    net, x = threaded(netfile), images(4, 3, 12, 12)
    expected = net.compute(x)
    context = multiprocessing.get_context("fork")
    results = context.SimpleQueue()

    def child() -> None:
        same = all(np.array_equal(net.compute(x), expected) for _ in range(50))
        results.put((same, sum(t.name.startswith("cnnrt-worker") for t in threading.enumerate())))

    process = context.Process(target=child)
    with warnings.catch_warnings():  # Python 3.12 warns of forking with threads: that is what is tested
        warnings.simplefilter("ignore", DeprecationWarning)
        process.start()
    process.join(60)
    assert process.exitcode == 0
    same, started = results.get()
    assert same
    assert started >= 1
    assert np.array_equal(net.compute(x), expected)


def test_where_no_thread_can_be_started_the_caller_does_the_work(
    netfile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    x = images(4, 3, 12, 12)
    expected = threaded(netfile, threads=1).compute(x)
    net, fresh = threaded(netfile, 3), workers.Workers()
    net.prepare(x.shape)
    monkeypatch.setattr(workers, "_workers", fresh)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        for _ in range(3):
            assert np.array_equal(net.compute(x), expected)
    assert fresh._threads == []
    assert np.array_equal(net.compute(x), expected)
    assert len(fresh._threads) == 2, "when threads can be started again, they are"
    fresh.stop()


def test_turns_are_taken_in_the_order_of_arrival() -> None:
    turns = Turns()
    order: list[int] = []

    def take(number: int) -> None:
        with turns:
            order.append(number)

    threads = [threading.Thread(target=take, args=(number,)) for number in range(5)]
    with turns:
        for number, thread in enumerate(threads):
            thread.start()
            while len(turns._waiting) <= number:
                time.sleep(0.001)
        assert order == []
    for thread in threads:
        thread.join()
    assert order == list(range(5))


def test_a_turn_is_handed_on_after_an_error() -> None:
    turns = Turns()
    with pytest.raises(KeyError), turns:
        raise KeyError
    with turns:
        pass
