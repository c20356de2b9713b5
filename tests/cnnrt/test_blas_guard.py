"""One BLAS thread inside the guard, and afterwards whatever was there before."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import numpy as np
import pytest
from threadpoolctl import ThreadpoolController, threadpool_limits

from cnnrt import blas_guard
from cnnrt.blas_guard import BlasGuard, one_blas_thread


class FakeLibraries:
    """Counts how often a limit was set and restored."""

    def __init__(self) -> None:
        self.limited = 0
        self.restored = 0

    def limit(self, *, limits: int, user_api: str) -> FakeLibraries:
        assert (limits, user_api) == (1, "blas")
        self.limited += 1
        return self

    def restore_original_limits(self) -> None:
        self.restored += 1


@pytest.fixture
def libraries(monkeypatch: pytest.MonkeyPatch) -> FakeLibraries:
    fake = FakeLibraries()
    monkeypatch.setattr(blas_guard, "_find_libraries", lambda: fake)
    return fake


@pytest.fixture
def two_blas_threads() -> Iterator[ThreadpoolController]:
    """NumPy's BLAS on two threads, so that one thread inside the guard is a change."""
    np.ones((2, 2)) @ np.ones((2, 2))
    with threadpool_limits(2, user_api="blas"):
        controller = ThreadpoolController()
        if 2 not in blas_threads(controller):
            pytest.skip("threadpoolctl cannot set the threads of this NumPy's BLAS")
        yield controller


def blas_threads(controller: ThreadpoolController) -> set[int]:
    return {library["num_threads"] for library in controller.info() if library["user_api"] == "blas"}


def test_blas_runs_on_one_thread_inside_and_as_before_afterwards(two_blas_threads: ThreadpoolController) -> None:
    before = blas_threads(two_blas_threads)
    with one_blas_thread:
        assert blas_threads(two_blas_threads) == {1}
    assert blas_threads(two_blas_threads) == before


def test_an_exception_restores_the_limit(two_blas_threads: ThreadpoolController) -> None:
    before = blas_threads(two_blas_threads)
    with pytest.raises(ZeroDivisionError), one_blas_thread:
        raise ZeroDivisionError
    assert blas_threads(two_blas_threads) == before


def test_only_the_outermost_of_nested_uses_restores(two_blas_threads: ThreadpoolController) -> None:
    with one_blas_thread:
        with one_blas_thread:
            pass
        assert blas_threads(two_blas_threads) == {1}
    assert 2 in blas_threads(two_blas_threads)


def test_the_last_thread_out_restores(libraries: FakeLibraries) -> None:
    guard = BlasGuard()
    inside, leave = threading.Event(), threading.Event()

    def stay() -> None:
        with guard:
            inside.set()
            assert leave.wait(10)

    thread = threading.Thread(target=stay)
    thread.start()
    assert inside.wait(10)
    with guard:
        assert libraries.limited == 1
    assert libraries.restored == 0, "the other thread is still inside"
    leave.set()
    thread.join(10)
    assert libraries.restored == 1


def test_many_threads_leave_nothing_behind(libraries: FakeLibraries) -> None:
    guard = BlasGuard()
    together = threading.Barrier(8)

    def enter_often() -> None:
        together.wait(10)
        for _ in range(200):
            with guard:
                assert libraries.limited == libraries.restored + 1

    threads = [threading.Thread(target=enter_often) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert libraries.limited == libraries.restored > 0


def test_libraries_are_looked_for_again_only_after_an_import(monkeypatch: pytest.MonkeyPatch) -> None:
    searches = []
    monkeypatch.setattr(blas_guard, "_find_libraries", lambda: searches.append(None) or FakeLibraries())
    guard = BlasGuard()
    for _ in range(3):
        with guard:
            pass
    assert len(searches) == 1
    monkeypatch.setitem(sys.modules, "a_module_that_brings_a_blas", sys)
    with guard:
        pass
    assert len(searches) == 2


FORKED = """
import os, threading
import numpy as np
from threadpoolctl import ThreadpoolController, threadpool_limits
from cnnrt.blas_guard import one_blas_thread

def blas_threads():
    return {x["num_threads"] for x in ThreadpoolController().info() if x["user_api"] == "blas"}

inside, leave = threading.Event(), threading.Event()
def stay():
    with one_blas_thread:
        inside.set()
        leave.wait(10)

threadpool_limits(2, user_api="blas")
before = blas_threads()
thread = threading.Thread(target=stay)
thread.start()
inside.wait(10)
child = os.fork()
if child == 0:
    # The thread that was inside does not exist here, so nobody else would ever restore.
    alone = blas_threads() == before
    with one_blas_thread:
        limited = blas_threads() == {1}
    os._exit(0 if alone and limited and blas_threads() == before else 1)
leave.set()
thread.join()
raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_does_not_wait_for_threads_of_its_parent() -> None:
    # Newer Pythons warn about forking while threads run: the very thing that is tested here.
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKED]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert finished.returncode == 0, finished.stderr
