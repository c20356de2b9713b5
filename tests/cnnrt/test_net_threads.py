"""Several threads may compute with one Net: they take turns, or run beside one another as far as was planned."""

from __future__ import annotations

import os
import signal
import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnnrt import Net
from cnnrt.layer import Array
from core_suite.plugins_in_memory import host_with_backends
from core_suite.small_networks import images, write_chain, write_text
from core_suite.toy_backend import ToyBackend, ToyKernel

THREADS = 8
PATIENCE = 30.0
"""Seconds after which a test that waits for a thread gives up."""


@pytest.mark.parametrize("concurrency", [1, 3])
@pytest.mark.parametrize("streamed", [False, True])
def test_results_are_those_of_serial_calls(tmp_path: Path, concurrency: int, streamed: bool) -> None:
    path = write_chain(tmp_path)
    names = ["conv", "pool", "prob"]
    least = Net(path, concurrency=concurrency).plan_for((3, 3, 8, 8), names).memory.least / 2**20
    net = Net(path, concurrency=concurrency, allocated_ram=least if streamed else None)
    batches = [images(1 + i % 3, 3, 8, 8, seed=i) for i in range(6 * THREADS)]
    serial = [net.compute(x, outputs=names) for x in batches]
    start = threading.Barrier(THREADS)

    def work(number: int) -> list[dict[str, Array]]:
        start.wait(PATIENCE)
        return [net.compute(x, outputs=names) for x in batches[number::THREADS]]

    with ThreadPoolExecutor(THREADS) as pool:
        results = list(pool.map(work, range(THREADS)))
    for number, found in enumerate(results):
        for values, expected in zip(found, serial[number::THREADS], strict=True):
            for name in names:
                np.testing.assert_array_equal(values[name], expected[name])


class Meeting(ToyKernel):
    """A ReLU that calls a function while it computes, and keeps count of how many are inside at once."""

    def __init__(self, inside: Callable[[], Any]) -> None:
        super().__init__("ReLU")
        self.inside = inside
        self.lock = threading.Lock()
        self.now = self.most = 0

    def bind(self, call: Any) -> Any:
        def run(inputs: Any, outputs: Any, weights: Any, workspace: Any) -> None:
            with self.lock:
                self.now += 1
                self.most = max(self.most, self.now)
            self.inside()
            np.maximum(inputs[0], 0, out=outputs[0])
            with self.lock:
                self.now -= 1

        return run


def relu_net(folder: Path, kernel: Meeting, concurrency: int) -> Net:
    host = host_with_backends([ToyBackend()], [kernel])
    return Net(write_text(folder, 'layer { type: "ReLU" name: "r" }'), plugins=host, concurrency=concurrency)


def test_as_many_calls_run_at_once_as_were_planned(tmp_path: Path) -> None:
    meeting = threading.Barrier(3)  # nobody leaves before three are inside
    kernel = Meeting(lambda: meeting.wait(PATIENCE))
    net = relu_net(tmp_path, kernel, concurrency=3)
    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(net.compute, [images(2, 3, 4, 4, seed=i) for i in range(6)]))
    assert kernel.most == 3
    for i, y in enumerate(results):
        np.testing.assert_array_equal(y, np.maximum(images(2, 3, 4, 4, seed=i), 0))


def test_without_that_calls_take_turns(tmp_path: Path) -> None:
    first_is_inside, second_may_come = threading.Event(), threading.Event()

    def inside() -> None:
        first_is_inside.set()
        second_may_come.wait(PATIENCE)

    kernel = Meeting(inside)
    net = relu_net(tmp_path, kernel, concurrency=1)
    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(net.compute, images(1, 3, 4, 4))
        assert first_is_inside.wait(PATIENCE)
        two = pool.submit(net.compute, images(1, 3, 4, 4))
        assert not two.done()
        second_may_come.set()
        np.testing.assert_array_equal(one.result(PATIENCE), two.result(PATIENCE))
    assert kernel.most == 1


def test_a_call_that_runs_while_the_net_is_closed_comes_to_its_end(tmp_path: Path) -> None:
    inside, closed = threading.Event(), threading.Event()

    def wait() -> None:
        inside.set()
        closed.wait(PATIENCE)

    kernel = Meeting(wait)
    net = relu_net(tmp_path, kernel, concurrency=1)
    x = images(1, 3, 4, 4)
    with ThreadPoolExecutor(1) as pool:
        result = pool.submit(net.compute, x)
        assert inside.wait(PATIENCE)
        net.close()
        closed.set()
        np.testing.assert_array_equal(result.result(PATIENCE), np.maximum(x, 0))


def test_threads_that_meet_at_the_first_call_load_weights_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cnnrt.weights import WeightSource

    loads: list[str] = []
    original = WeightSource.opened

    def counted(self: WeightSource, *rest: Any, **options: Any) -> Any:
        loads.append(self.path.name)
        return original(self, *rest, **options)

    monkeypatch.setattr(WeightSource, "opened", counted)
    net = Net(write_chain(tmp_path), concurrency=4)
    start = threading.Barrier(THREADS)

    def work(number: int) -> Array:
        start.wait(PATIENCE)
        result: Array = net.compute(images(1 + number % 2, 3, 8, 8))
        return result

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(work, range(THREADS)))
    assert sorted(loads) == ["conv.msg", "scores.msg"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_forked_while_another_thread_computes_can_compute(tmp_path: Path) -> None:
    """The other thread is not there in the child: what it held must not be waited for."""
    inside, forked = threading.Event(), threading.Event()

    def wait() -> None:
        inside.set()
        forked.wait(PATIENCE)

    kernel = Meeting(wait)
    net = relu_net(tmp_path, kernel, concurrency=1)
    x = images(1, 3, 4, 4)
    with ThreadPoolExecutor(1) as pool:
        result = pool.submit(net.compute, x)
        assert inside.wait(PATIENCE)
        with warnings.catch_warnings():  # Python 3.12 warns of forking with threads: that is what is tested
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            code = 1
            try:
                kernel.inside = lambda: None
                code = 0 if np.array_equal(net.compute(x), np.maximum(x, 0)) else 2
            finally:
                os._exit(code)
        until = time.monotonic() + PATIENCE
        ended, status = os.waitpid(child, os.WNOHANG)
        while not ended and time.monotonic() < until:
            time.sleep(0.01)
            ended, status = os.waitpid(child, os.WNOHANG)
        if not ended:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        forked.set()
        assert ended, "the child waits for a thread that it does not have"
        assert os.waitstatus_to_exitcode(status) == 0
        np.testing.assert_array_equal(result.result(PATIENCE), np.maximum(x, 0))
