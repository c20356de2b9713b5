"""A segment in a runner: its program, buffers and weights lie there, inputs are sent and outputs fetched for each call.

Values that only the segment's steps use never come here. A runner that is lost (killed, unplugged) is an error of the
call under way; the next call starts another one and sends the weights again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import cast

from cnnrt.after_fork import renew_after_fork
from cnnrt.backend import BufferSpec, Frame, Segment, StepTimer
from cnnrt.errors import CnnrtError
from cnnrt.hardware import usable_cores
from cnnrt.layer import Array
from cnnrt_backend_renderscript import runner_protocol as protocol
from cnnrt_backend_renderscript.backend import ALIGNMENT
from cnnrt_backend_renderscript.program import segment_program
from cnnrt_backend_renderscript.runner_build import build_runner
from cnnrt_backend_renderscript.runner_connection import RunnerConnection, RunnerRefusal
from cnnrt_backend_renderscript.runner_target import Toolchain
from cnnrt_backend_renderscript.transport import Transport


class RunnerSegment:
    """A compiled segment; satisfies `cnnrt.backend.Runnable`. One call at a time; others wait for their turn."""

    def __init__(
        self,
        segment: Segment,
        specs: Sequence[BufferSpec],
        threads: int | None,
        toolchain: Toolchain,
        transport: Transport,
        *,
        checked: bool = False,
    ) -> None:
        """Build the runner; it is started by the first call. Raises CnnrtError for scripts that cannot be compiled."""
        self._device = segment.device.title
        self._steps = segment.steps
        self._threads = threads
        self._transport = transport
        self._program = segment_program(segment, specs)
        self._runner = build_runner(
            self._program.scripts, toolchain, checked=checked, processes=min(threads or usable_cores(), usable_cores())
        )
        self._ranges = [self._program.steps_of(index) for index in range(len(segment.steps))]
        self._weights = {(b.step, b.weight): i for i, b in enumerate(self._program.buffers) if b.step is not None}
        self._arena_bytes, places = _places(segment, specs)
        self._buffers = [(None if b.slot is None else places[b.slot], b.values) for b in self._program.buffers]
        numbers = {b.slot: number for number, b in enumerate(self._program.buffers) if b.slot is not None}
        sent, fetched = _outside(segment, specs)
        self._sent = [(numbers[slot], slot) for slot in sent if slot in numbers]
        self._fetched = [(numbers[slot], slot) for slot in fetched if slot in numbers]
        self._connection: RunnerConnection | None = None
        self.after_fork()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Leave the runner to the parent: a child that computes starts one of its own."""
        self._turn = threading.Lock()
        self._connection = None

    def run(self, frame: Frame, timer: StepTimer | None = None) -> None:
        """Compute every step; with a timer, each with the time that the runner took for it.

        Raises RunnerError where the runner is lost, RunnerRefusal where it cannot do what is asked.
        """
        with self._turn:
            try:
                connection = self._started()
                for number, slot in self._sent:
                    data = frame[slot]
                    connection.send(protocol.write_head(number, 0, data.nbytes), data)
                self._compute(connection, timer)
                for number, slot in self._fetched:
                    connection.send(protocol.read_message(number, 0, frame[slot].nbytes))
                connection.settle_into([frame[slot] for _, slot in self._fetched])
            except BaseException:  # what is on its way is not known any more, after an interruption neither
                if self._connection is not None:
                    self._connection.close()
                    self._connection = None
                raise

    def _compute(self, connection: RunnerConnection, timer: StepTimer | None) -> None:
        streams = any(not step.weights.resident for step in self._steps)
        if timer is None and not streams:
            connection.send(protocol.launch_message(0, len(self._program.steps), self._count(connection)))
            return
        for index, step in enumerate(self._steps):
            started = time.perf_counter()
            if not step.weights.resident:
                self._send_weights(connection, index)
            loaded = time.perf_counter()
            connection.send(protocol.launch_message(*self._ranges[index], self._count(connection)))
            try:
                took = connection.settle()
            except RunnerRefusal as error:
                raise CnnrtError(f"layer {step.layer_name!r}: {error}") from error
            if timer:
                timer.record(step.layer_name, int.from_bytes(took, "little") / 1e9, loaded - started)

    def _count(self, connection: RunnerConnection) -> int:
        return connection.greeting.cores if self._threads is None else min(self._threads, connection.greeting.cores)

    def _started(self) -> RunnerConnection:
        """Return the runner, with buffers, weights that stay and the program in it."""
        if self._connection is not None and not self._connection.closed:
            return self._connection
        with self._transport.placed(self._runner, self._device) as command:
            connection = RunnerConnection(command, self._device, self._runner.build)
        self._connection = connection
        connection.send(protocol.allocate_message(self._arena_bytes, self._buffers))
        connection.settle()  # nothing is sent to a runner without room for it
        for index, step in enumerate(self._steps):
            if step.weights.resident:
                self._send_weights(connection, index)
        connection.send(protocol.program_message(self._program))
        connection.settle()
        return connection

    def _send_weights(self, connection: RunnerConnection, index: int) -> None:
        for weight, array in enumerate(cast("tuple[Array, ...]", self._steps[index].weights.get())):
            if (index, weight) in self._weights:
                connection.send(protocol.write_head(self._weights[index, weight], 0, array.nbytes), array)


def _places(segment: Segment, specs: Sequence[BufferSpec]) -> tuple[int, dict[int, int]]:
    """Return the bytes of the runner's arena and each slot's place there: private ones first, then the frame's."""
    slots = dict.fromkeys(s for step in segment.steps for s in (*step.inputs, *step.outputs, step.workspace))
    places = {slot: specs[slot].offset or 0 for slot in slots if specs[slot].private}
    end = max((places[slot] + specs[slot].type.nbytes for slot in places), default=0)
    roots: dict[int, int] = {}
    for slot in slots:
        if slot not in places:
            root = _root(slot, specs)
            if root not in roots:
                roots[root] = -(-end // ALIGNMENT) * ALIGNMENT
                end = roots[root] + max(specs[root].type.nbytes, specs[slot].type.nbytes)
            places[slot] = roots[root]
    return end, places


def _outside(segment: Segment, specs: Sequence[BufferSpec]) -> tuple[list[int], list[int]]:
    """Return the slots of the frame that come in and those that go out; of several that show the same bytes, one."""
    sent: dict[int, int] = {}
    fetched: dict[int, int] = {}
    for step in segment.steps:
        for slot in step.inputs:
            root = _root(slot, specs)
            if not specs[slot].private and root not in fetched:
                sent.setdefault(root, slot)
        for slot in step.outputs:
            if not specs[slot].private:
                fetched.setdefault(_root(slot, specs), slot)
    return list(sent.values()), list(fetched.values())


def _root(slot: int, specs: Sequence[BufferSpec]) -> int:
    root = specs[slot].root
    return slot if root is None else root
