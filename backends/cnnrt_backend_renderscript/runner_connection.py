"""A connection with a runner: messages through a process's standard input and output.

Whatever happens to the process (killed, unplugged, stuck, speaking another language) becomes a CnnrtError that says
what it said last. A connection that failed is closed; who needs the runner again starts another one.
"""

from __future__ import annotations

import errno
import os
import select
import subprocess
import tempfile
import time
import weakref
from collections.abc import Sequence
from typing import IO

import numpy as np

from cnnrt.errors import CnnrtError
from cnnrt.layer import Array
from cnnrt_backend_renderscript import runner_protocol as protocol

START_SECONDS = 60
SILENT_SECONDS = 300
"""Until a runner counts as lost. Between two launches it says that it is alive; one takes that long nowhere."""
MOST_ANSWER = 1 << 34
PIECE = 1 << 16
ATTEMPTS = 20


class RunnerError(CnnrtError):
    """The runner cannot be reached any more, or said something that is no answer."""


class RunnerRefusal(CnnrtError):
    """The runner answered that it cannot do what was asked."""


class RunnerConnection:
    """A runner that was started by `command` and greeted as the build that was expected."""

    def __init__(self, command: Sequence[str], device: str, build: str) -> None:
        """Start it and hear its greeting. Raises RunnerError."""
        self._device = device
        self._said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - it is open as long as the process runs
        try:
            self._process = _start(command, self._said)
        except OSError as error:
            self._said.close()
            raise RunnerError(f"{device}: {command[0]} cannot be started: {error}") from error
        self._close = weakref.finalize(self, _end, self._process, self._said)
        assert self._process.stdin
        assert self._process.stdout
        self._to, self._from = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self._to, False)
        self._waiting = 0
        kind, size = self._header(START_SECONDS)
        greeting = protocol.read_greeting(self._payload(size)) if kind == protocol.HELLO and size < PIECE else None
        if greeting is None:
            raise self._lost("the program does not answer as a runner does")
        if greeting.version != protocol.VERSION:
            raise self._lost(
                f"the runner there speaks version {greeting.version} of the protocol, this is {protocol.VERSION}"
            )
        if greeting.build != build:
            raise self._lost("the runner there is another one than was built for this network")
        self.greeting = greeting

    @property
    def closed(self) -> bool:
        """Whether it ended, by itself or by `close`."""
        return not self._close.alive

    def close(self) -> None:
        """End the runner."""
        self._close()

    def send(self, request: bytes, data: Array | None = None) -> None:
        """Send a request, and the bytes of an array behind it. Its answer is due."""
        self._write(memoryview(request))
        if data is not None and data.nbytes:
            self._write(np.ascontiguousarray(data).reshape(-1).view(np.uint8).data)
        self._waiting += 1

    def settle(self) -> bytes:
        """Hear all answers that are due; return the last one's payload. Raises RunnerRefusal for the first bad one."""
        payload, refusal = b"", ""
        while self._waiting:
            kind, size = self._answer()
            payload = self._payload(size)
            if kind == protocol.FAILED:
                refusal = refusal or payload.decode("utf-8", "replace")
        if refusal:
            raise RunnerRefusal(f"{self._device}: {refusal}")
        return payload

    def settle_into(self, arrays: Sequence[Array]) -> None:
        """Hear all answers that are due; the last ones fill the arrays. Raises RunnerRefusal for the first bad one."""
        refusal = ""
        while self._waiting:
            left = self._waiting
            kind, size = self._answer()
            if kind == protocol.FAILED:
                refusal = refusal or self._payload(size).decode("utf-8", "replace")
            elif left > len(arrays):
                self._payload(size)
            else:
                out = arrays[len(arrays) - left].reshape(-1).view(np.uint8).data
                if size != out.nbytes:
                    raise self._lost(f"the runner gave {size} bytes for {out.nbytes}")
                self._read(out, SILENT_SECONDS)
        if refusal:
            raise RunnerRefusal(f"{self._device}: {refusal}")

    def _answer(self) -> tuple[int, int]:
        kind = protocol.ALIVE
        while kind == protocol.ALIVE:
            kind, size = self._header(SILENT_SECONDS)
        if kind not in (protocol.DONE, protocol.FAILED):
            raise self._lost(f"the runner gave an answer of a kind that is not known: {kind}")
        self._waiting -= 1
        return kind, size

    def _header(self, seconds: float) -> tuple[int, int]:
        raw = bytearray(protocol.HEADER.size)
        self._read(memoryview(raw), seconds)
        magic, kind, size = protocol.HEADER.unpack(raw)
        if magic != protocol.MAGIC or size > MOST_ANSWER:
            raise self._lost(f"what it sends is no message of a runner, but {bytes(raw)!r}")
        return kind, size

    def _payload(self, size: int) -> bytes:
        raw = bytearray()
        while len(raw) < size:  # piece by piece: nothing is allocated for bytes that do not come
            piece = bytearray(min(PIECE, size - len(raw)))
            self._read(memoryview(piece), SILENT_SECONDS)
            raw += piece
        return bytes(raw)

    def _read(self, into: memoryview, seconds: float) -> None:
        done = 0
        while done < into.nbytes:
            if not select.select([self._from], [], [], seconds)[0]:
                raise self._lost(f"nothing came for {seconds:.0f} seconds")
            got = os.readv(self._from, [into[done:]])
            if not got:
                raise self._lost("the connection ended" + (" in the middle of a message" if done else ""))
            done += got

    def _write(self, data: memoryview) -> None:
        done = 0
        while done < data.nbytes:
            if not select.select([], [self._to], [], SILENT_SECONDS)[1]:
                raise self._lost(f"nothing was taken for {SILENT_SECONDS} seconds")
            try:
                done += os.write(self._to, data[done:])
            except BlockingIOError:
                continue
            except OSError as error:
                raise self._lost("the connection ended while data were sent") from error

    def _lost(self, why: str) -> RunnerError:
        """Close, and return the error with what the process said last."""
        try:
            status: int | None = self._process.wait(timeout=0.5)
        except subprocess.TimeoutExpired:
            status = None
        self._said.seek(0)
        words = self._said.read(PIECE).decode("utf-8", "replace").strip().splitlines()[-4:]
        self.close()
        ended = "" if status is None else f"; it ended with status {status}"
        said = f": {' | '.join(words)}" if words else ""
        return RunnerError(f"{self._device}: {why}{ended}{said}")


def _start(command: Sequence[str], said: IO[bytes]) -> subprocess.Popen[bytes]:
    for attempt in range(ATTEMPTS):
        try:
            return subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, bufsize=0, start_new_session=True
            )
        except OSError as error:
            # Another thread's child may hold the file, which was just written, open until it starts its own program.
            if error.errno != errno.ETXTBSY or attempt == ATTEMPTS - 1:
                raise
            time.sleep(0.05)
    raise AssertionError


def _end(process: subprocess.Popen[bytes], said: IO[bytes]) -> None:
    for stream in (process.stdin, process.stdout):
        if stream:
            stream.close()
    try:
        process.wait(timeout=2)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    said.close()
