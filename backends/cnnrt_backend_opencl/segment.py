"""A compiled segment: launches bound to buffers, put into a queue one after another; the host waits once, at the end.

Values inside the segment lie in an arena on the device. What comes from the frame is uploaded before the first step,
what goes there is read after the last (`transfers.py`); where both share memory, nothing is copied.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import attrs
import numpy as np

from cnnrt.backend import BufferSpec, Frame, Segment, Step, StepTimer
from cnnrt.errors import CnnrtError, DeviceLostError, DeviceMemoryError
from cnnrt_backend_opencl.device_weights import DeviceWeights
from cnnrt_backend_opencl.driver import BOTH, Handle
from cnnrt_backend_opencl.kernel import Input, Launch, Local, OpenCLKernel, Output, Weight, Workspace
from cnnrt_backend_opencl.session import Session
from cnnrt_backend_opencl.transfers import Outside, transfer_for


@attrs.frozen
class _Bound:
    """A launch of a step with its kernel and the slots or weights that are set for each call: (argument, slot)."""

    kernel: Handle
    launch: Launch
    outside: tuple[tuple[int, int], ...]
    weights: tuple[tuple[int, int], ...]


@attrs.define
class _Call:
    """What one call at a time uses: a queue, an arena, kernels whose arguments point into it, and ways in and out."""

    queue: Handle
    steps: tuple[tuple[_Bound, ...], ...]
    outside: tuple[Outside, ...]
    held: list[Handle]


class OpenCLSegment:
    """A segment whose kernels are all `OpenCLKernel`s; satisfies `cnnrt.backend.Runnable`.

    Programs are built when it is made. Weights that do not stay resident are uploaded just before their step, and that
    step is waited for, so that only one step's are on the device.
    """

    def __init__(
        self,
        segment: Segment,
        buffers: Sequence[BufferSpec],
        session: Session,
        on_loss: Callable[[Session, DeviceLostError], None],
    ) -> None:
        """Build every program; CnnrtError names the layer and kernel where that fails, with the compiler's log.

        `on_loss` is told before DeviceLostError is raised.
        """
        self._on_loss = on_loss
        self._session = session
        self._steps = segment.steps
        self._specs = buffers
        self._programs = [_program(step, session) for step in segment.steps]
        self._launches = [_launches(step, session) for step in segment.steps]
        self._spare: list[_Call] = []
        self._read, self._written = _outside_slots(segment.steps, buffers)
        self._arena_bytes = _arena_bytes(segment.steps, buffers)

    def run(self, frame: Frame, timer: StepTimer | None = None) -> None:
        """Compute every step; returns when the outputs are there. With a timer, each step is waited for.

        Raises DeviceMemoryError (a MemoryError) and DeviceLostError; other failures name the layer and the kernel.
        """
        self._session.check()
        try:
            try:
                call = self._spare.pop()
            except IndexError:
                call = self._new_call()
            self._run(call, frame, timer)
        except DeviceLostError as error:
            self._on_loss(self._session, error)
            raise DeviceLostError(f"{self._session.device.title}: {error}") from error
        self._session.worked = True
        self._spare.append(call)  # not after a failure: what is left in its queue is not known

    def _run(self, call: _Call, frame: Frame, timer: StepTimer | None) -> None:
        driver, queue = self._session.driver, call.queue
        step = None
        try:
            at = {way.slot: way.enter(queue, frame[way.slot]) for way in call.outside}
            for step, bound in zip(self._steps, call.steps, strict=True):
                started = time.perf_counter() if timer else 0.0
                weights = () if step.weights.resident else self._weights(step)
                loaded = time.perf_counter() if timer and weights else started
                for b in bound:
                    for index, slot in b.outside:
                        driver.set_argument(b.kernel, index, at[slot])
                    if weights:
                        for index, number in b.weights:
                            driver.set_argument(b.kernel, index, weights[number])
                    driver.launch(queue, b.kernel, b.launch.global_size, b.launch.local_size)
                if weights or timer:
                    driver.finish(queue)
                if timer:
                    timer.record(step.layer_name, time.perf_counter() - loaded, loaded - started)
            for way in call.outside:
                way.leave(queue, frame[way.slot])
            driver.finish(queue)
        except (MemoryError, DeviceLostError):
            raise
        except CnnrtError as error:
            raise _explained(step, "failed", error) if step else error from error
        finally:
            for way in call.outside:
                way.forget()

    def _new_call(self) -> _Call:
        session, driver = self._session, self._session.driver
        most = session.device.limits.allocation_bytes
        if self._arena_bytes > most:
            raise DeviceMemoryError(
                f"{session.device.title}: values between layers take {self._arena_bytes >> 20} MiB, more than the "
                f"{most >> 20} MiB that this device gives in one piece"
            )
        arena = driver.buffer(session.context, BOTH, self._arena_bytes) if self._arena_bytes else None
        parts: dict[tuple[int, int], Handle] = {}

        def part(offset: int, nbytes: int) -> Handle:
            if nbytes == 0:
                return None
            if (offset, nbytes) not in parts:
                parts[offset, nbytes] = driver.part(arena, offset, nbytes)
            return parts[offset, nbytes]

        steps = []
        for step, program, launches in zip(self._steps, self._programs, self._launches, strict=True):
            weights = self._weights(step) if step.weights.resident else ()
            bound = []
            for launch in launches:
                kernel = driver.kernel(program, launch.function)
                outside: list[tuple[int, int]] = []
                streamed: list[tuple[int, int]] = []
                for index, argument in enumerate(launch.args):
                    value: Any = argument
                    if isinstance(argument, Input | Output):
                        slot = (step.inputs if isinstance(argument, Input) else step.outputs)[argument.index]
                        spec = self._specs[slot]
                        if not spec.private:
                            outside.append((index, _root(slot, self._specs)))
                            continue
                        value = part(spec.offset or 0, spec.type.nbytes)
                    elif isinstance(argument, Workspace):
                        spec = self._specs[step.workspace]
                        value = part((spec.offset or 0) + argument.offset, spec.type.nbytes - argument.offset)
                    elif isinstance(argument, Weight):
                        if not step.weights.resident:
                            streamed.append((index, argument.index))
                            continue
                        value = weights[argument.index]
                    elif isinstance(argument, Local):
                        value = driver.local(argument.nbytes)
                    elif isinstance(argument, int):
                        value = np.int32(argument)
                    elif isinstance(argument, float):
                        value = np.float32(argument)
                    driver.set_argument(kernel, index, value)
                bound.append(_Bound(kernel, launch, tuple(outside), tuple(streamed)))
            steps.append(tuple(bound))
        outside_ways = tuple(
            transfer_for(session, slot, self._specs[slot].type.nbytes, slot in self._read, slot in self._written)
            for slot in sorted(self._read | self._written)
        )
        return _Call(session.queue(), tuple(steps), outside_ways, [arena, *parts.values()])

    def _weights(self, step: Step) -> tuple[Handle, ...]:
        packed = step.weights.get()
        held = packed if isinstance(packed, DeviceWeights) else DeviceWeights(packed)
        return held.on(self._session)


def _root(slot: int, specs: Sequence[BufferSpec]) -> int:
    root = specs[slot].root
    return slot if root is None else root


def _outside_slots(steps: Sequence[Step], specs: Sequence[BufferSpec]) -> tuple[set[int], set[int]]:
    """Return the slots of the frame, roots instead of views, that steps read and those that they write."""
    read: set[int] = set()
    written: set[int] = set()
    for step in steps:
        read.update(_root(slot, specs) for slot in step.inputs if not specs[slot].private)
        written.update(_root(slot, specs) for slot in step.outputs if not specs[slot].private)
    return read, written


def _arena_bytes(steps: Sequence[Step], specs: Sequence[BufferSpec]) -> int:
    used = {slot for step in steps for slot in (*step.inputs, *step.outputs, step.workspace)}
    own = [specs[slot] for slot in used if specs[slot].private]
    return max(((spec.offset or 0) + spec.type.nbytes for spec in own), default=0)


def _kernel(step: Step) -> OpenCLKernel:
    if not isinstance(step.kernel, OpenCLKernel):
        raise CnnrtError(
            f"layer {step.layer_name!r}: kernel {step.kernel.name!r} of backend {step.kernel.backend!r} is not an "
            f"OpenCLKernel, so it cannot run in a segment of OpenCL; derive it from OpenCLKernel"
        )
    return step.kernel


def _program(step: Step, session: Session) -> Handle:
    kernel = _kernel(step)
    try:
        return session.program(kernel.text(), kernel.defines(step.call, session.device))
    except (MemoryError, DeviceLostError):
        raise
    except Exception as error:
        raise _explained(step, f"could not be built from {kernel.source}", error) from error


def _launches(step: Step, session: Session) -> list[Launch]:
    kernel = _kernel(step)
    try:
        launches = kernel.launches(step.call, session.device)
    except Exception as error:
        raise _explained(step, "could not be prepared", error) from error
    return [launch for launch in launches if not launch.empty]


def _explained(step: Step, what: str, error: Exception) -> CnnrtError:
    told = str(error) if isinstance(error, CnnrtError) else f"{type(error).__name__}: {error}"
    return CnnrtError(
        f"layer {step.layer_name!r}: kernel {step.kernel.name!r} of backend {step.kernel.backend!r} {what}: {told}"
    )
