"""Compiling in child processes: the same images, and whatever befalls a child, the kernel is compiled after all."""

from __future__ import annotations

import io
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest

pytest.importorskip("llvmlite", reason="the threaded backend needs llvmlite")

from cnnrt.child_python import children_possible
from cnnrt.layer_call import LayerCall
from cnnrt.tensor import TensorType
from cnnrt_backend_threaded import compile_children, compiler, machine_code
from cnnrt_backend_threaded.code_image import from_file
from cnnrt_backend_threaded.compile_children import CompileChildren, CompileFailure
from cnnrt_backend_threaded.compile_worker import ANSWER, REQUEST, serve
from cnnrt_backend_threaded.compiler import compile_module
from cnnrt_backend_threaded.emitter import Code
from cnnrt_backend_threaded.machine_code import CodeRequest, compile_ahead, function_addresses
from cnnrt_backend_threaded.relu import Rectify
from cnnrt_backend_threaded.target import host_target
from cnnrt_layers import ReLU

COUNT = machine_code.WORTH_CHILDREN


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process that has just begun, without a cache."""
    monkeypatch.setenv("CNNRT_CACHE", "")
    monkeypatch.setattr(machine_code, "_functions", {})


def request_of(size: int, kernel: Rectify | None = None) -> CodeRequest:
    call = LayerCall(ReLU(), (TensorType((size,)),), (TensorType((size,)),))
    return (kernel or Rectify()).code(call, f"of {size}")


def requests(count: int = COUNT) -> list[CodeRequest]:
    return [request_of(100 + n) for n in range(count)]


@pytest.fixture
def no_compiler_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise AssertionError("it was compiled in this process")

    monkeypatch.setattr(compiler, "compile_module", refuse)


def test_a_child_gives_the_image_that_this_process_would_make() -> None:
    request = request_of(77)
    with CompileChildren(2) as children:
        children.all_in()
        images = [children.compile(request.write(), request.target, request.names) for _ in range(4)]
        expected = compile_module(request.write(), request.target, request.names)
        assert all(image.result() == expected for image in images)


@pytest.mark.usefixtures("no_compiler_here")
def test_much_code_is_compiled_by_children_alone() -> None:
    wanted = requests()
    compile_ahead(wanted, 2)
    assert len({function_addresses(request)["kernel"] for request in wanted}) == len(wanted)


def test_little_code_is_not_worth_a_child(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compile_children, "CompileChildren", None)
    compile_ahead(requests(COUNT - 1), 2)
    assert not machine_code._functions


def dies(*arguments: object) -> Sequence[str]:
    return [sys.executable, "-c", "import sys; sys.stdin.buffer.read(10); sys.exit(1)"]


def talks_nonsense(*arguments: object) -> Sequence[str]:
    return [sys.executable, "-c", "import sys; sys.stdout.buffer.write(b'\\xff\\0\\0\\0' * 100)"]


@pytest.mark.parametrize("program", [dies, talks_nonsense])
def test_code_is_compiled_here_where_children_fail(monkeypatch: pytest.MonkeyPatch, program: Any) -> None:
    popen = compile_children.subprocess.Popen
    monkeypatch.setattr(compile_children.subprocess, "Popen", lambda command, **rest: popen(program(), **rest))
    wanted = requests()
    compile_ahead(wanted, 2)
    assert not machine_code._functions
    assert all(function_addresses(request)["kernel"] for request in wanted)


def test_a_system_that_starts_no_processes_is_no_obstacle(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **named: object) -> None:
        raise OSError("no more processes")

    monkeypatch.setattr(compile_children.subprocess, "Popen", refuse)
    wanted = requests()
    compile_ahead(wanted, 2)
    assert all(function_addresses(request)["kernel"] for request in wanted)


def test_a_system_that_starts_one_process_only_is_content_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    popen, started = compile_children.subprocess.Popen, []

    def once(*arguments: Any, **named: Any) -> Any:
        if started:
            raise BlockingIOError("no more processes")
        started.append(popen(*arguments, **named))
        return started[0]

    monkeypatch.setattr(compile_children.subprocess, "Popen", once)
    compile_ahead(requests(), 2)
    assert len(machine_code._functions) == COUNT
    assert started[0].poll() == 0


def test_a_system_that_starts_no_threads_is_no_obstacle(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    wanted = requests()
    compile_ahead(wanted, 2)
    assert not machine_code._functions
    assert all(function_addresses(request)["kernel"] for request in wanted)


@pytest.mark.parametrize("program", ["", "/opt/app/bin/viewer", "C:\\app\\viewer.exe"])
def test_a_program_that_is_no_python_is_not_started_again(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    assert children_possible()
    monkeypatch.setattr(sys, "executable", program)
    assert not children_possible()


class Broken(Rectify):
    """A kernel that cannot write its code."""

    name = "broken"

    def emit(self, call: LayerCall, code: Code) -> None:
        raise ValueError("no such lane")


def test_a_kernel_that_writes_no_code_is_left_to_whoever_can_tell_why() -> None:
    broken, *others = [request_of(50, Broken()), *requests()]
    compile_ahead([broken, *others], 2)
    assert len(machine_code._functions) == len(others)
    with pytest.raises(ValueError, match="no such lane"):
        function_addresses(broken)


def test_a_module_that_llvm_refuses_is_told_here() -> None:
    with CompileChildren(1) as children:
        children.all_in()
        image = children.compile("define nonsense", host_target(), ["kernel"])
        with pytest.raises(CompileFailure, match="could not be compiled"):
            image.result()


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_no_more_processes_work_at_a_time_than_are_allowed(monkeypatch: pytest.MonkeyPatch, processes: int) -> None:
    """The one that writes modules counts as well."""
    working: list[int] = [0]
    most, lock = [0], threading.Lock()

    def work(seconds: float) -> None:
        with lock:
            working[0] += 1
            most[0] = max(most[0], working[0])
        time.sleep(seconds)
        with lock:
            working[0] -= 1

    def ask(*arguments: object) -> object:
        work(0.03)
        raise OSError("no answer")

    def write() -> str:
        work(0.01)
        return ""

    monkeypatch.setattr(compile_children, "_ask", ask)
    compile_ahead([attrs.evolve(request, write=write) for request in requests(2 * COUNT)], processes)
    assert most[0] == processes


def test_the_worker_answers_until_its_input_ends() -> None:
    import json

    import attrs

    request = request_of(60)
    description = json.dumps({"target": attrs.asdict(request.target), "names": request.names}).encode()
    text = request.write().encode()
    message = REQUEST.pack(len(description), len(text)) + description + text
    answers = io.BytesIO()
    serve(io.BytesIO(message * 2), answers)
    data = answers.getvalue()
    (size,) = ANSWER.unpack_from(data)
    assert data[: ANSWER.size + size] * 2 == data
    assert from_file(data[ANSWER.size : ANSWER.size + size], "")[0].entries == {"kernel": 0}


def test_the_worker_imports_neither_numpy_nor_the_kernels() -> None:
    import subprocess

    script = "import sys, cnnrt_backend_threaded.compile_worker, cnnrt_backend_threaded.compiler; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert "llvmlite.binding" in loaded
    assert not {"numpy", "cnnrt_backend_threaded.kernels"} & set(loaded)


def test_no_file_is_left_in_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    compile_ahead(requests(), 2)
    assert list(tmp_path.iterdir()) == []
