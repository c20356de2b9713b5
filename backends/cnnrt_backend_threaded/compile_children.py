"""Compiling several modules at once, in child processes that live as long as there is something to compile."""

from __future__ import annotations

import json
import queue
import subprocess
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from types import TracebackType
from typing import Self

import attrs

from cnnrt.child_python import child_command, child_environment
from cnnrt_backend_threaded.code_image import CodeImage, ImageFileError, from_file
from cnnrt_backend_threaded.compile_worker import ANSWER, REQUEST
from cnnrt_backend_threaded.processor_target import Target

Child = subprocess.Popen[bytes]


class CompileFailure(Exception):
    """A child gave no image: it is gone, could not compile the module, or nobody could be sent to ask it."""


class CompileChildren:
    """Up to `count` children; use as a context manager, whose end waits for them.

    One of them begins when `all_in` is called: until then its processor is that of whoever writes the modules.
    Raises OSError where the system starts none at all.
    """

    def __init__(self, count: int) -> None:
        self._children: list[Child] = []
        for _ in range(count):
            try:
                self._children.append(_start())
            except OSError:
                if not self._children:
                    raise
                break
        self._idle: queue.SimpleQueue[Child] = queue.SimpleQueue()
        self._last, *others = self._children
        for child in others:
            self._idle.put(child)
        self._all_in = False
        self._threads = ThreadPoolExecutor(count, "cnnrt-compiling")

    def compile(self, text: str, target: Target, names: Sequence[str]) -> Future[CodeImage]:
        """Return what will be the module's image; its error is CompileFailure, as where no thread can be started."""
        try:
            return self._threads.submit(self._compile, text, target, names)
        except RuntimeError as error:
            raise CompileFailure(str(error)) from error

    def all_in(self) -> None:
        """Let all children work: nothing more has to be written."""
        if not self._all_in:
            self._all_in = True
            self._idle.put(self._last)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.all_in()
        self._threads.shutdown(cancel_futures=True)
        for child in self._children:
            with suppress(OSError):
                child.communicate()

    def _compile(self, text: str, target: Target, names: Sequence[str]) -> CodeImage:
        child = self._idle.get()
        try:
            return _ask(child, text, target, names)
        except (OSError, ImageFileError) as error:
            raise CompileFailure(str(error)) from error
        finally:
            self._idle.put(child)  # one that is gone fails at once the next time


def _start() -> Child:
    command, pipe = child_command("cnnrt_backend_threaded.compile_worker"), subprocess.PIPE
    return subprocess.Popen(command, env=child_environment(), stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)


def _ask(child: Child, text: str, target: Target, names: Sequence[str]) -> CodeImage:
    assert child.stdin
    assert child.stdout
    description = json.dumps({"target": attrs.asdict(target), "names": list(names)}).encode()
    module = text.encode()
    child.stdin.write(REQUEST.pack(len(description), len(module)) + description + module)
    child.stdin.flush()
    head = child.stdout.read(ANSWER.size)
    if len(head) < ANSWER.size:
        raise CompileFailure("the child is gone")
    (size,) = ANSWER.unpack(head)
    if not size:
        raise CompileFailure("the module could not be compiled")
    return from_file(child.stdout.read(size), "")[0]
