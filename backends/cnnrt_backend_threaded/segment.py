"""A compiled segment: a table of steps that the workers walk through, and the addresses that change between calls."""

from __future__ import annotations

import time
from collections.abc import Hashable, Iterator, Sequence, Set
from typing import cast

import attrs
import numpy as np

from cnnrt.backend import BufferSpec, Frame, Segment, Step, StepTimer
from cnnrt.errors import CnnrtError
from cnnrt.hardware import allowed_cores, usable_cores
from cnnrt.layer import Array
from cnnrt_backend_threaded.aligned import aligned_words
from cnnrt_backend_threaded.machine_code import CodeRequest, compile_ahead
from cnnrt_backend_threaded.native_kernel import NativeKernel
from cnnrt_backend_threaded.team_code import FIRST_UNIT, LINE, STEP_LINES, UNITS, team_request
from cnnrt_backend_threaded.workers import Workers, workers

ANYWHERE: Set[int] = frozenset()


@attrs.frozen
class _Part:
    """Steps that run in one native call: `count` of them from `first` on; or one whose weights are `streamed`."""

    first: int
    count: int
    streamed: bool = False


@attrs.frozen
class _Compiled:
    """What of a step never changes: its function's address, units of work, how many are taken at a time, arrays of
    packed weights, and the slices that these fall into.
    """

    function: int
    units: int
    grain: int
    arrays: int
    slices: int


@attrs.define
class _Call:
    """What one call writes: addresses by slot (weights behind them), the arguments of all steps, the table of steps."""

    addresses: Array
    arguments: Array
    table: Array
    table_address: int
    arena: int = -1


class ThreadedSegment:
    """A segment whose kernels are all `NativeKernel`s; satisfies `cnnrt.backend.Runnable`.

    Compiling happens when it is made, and with it the number of threads is settled: what the kernels are made for, and
    at most `threads`. With `follows_affinity`, each call looks how many cores can be used, and takes fewer threads
    where that is less; the units of work, and so the bits, are the same. A step whose weights do not stay resident runs
    piece by piece, as they come; elsewhere the steps run in one native call.
    """

    def __init__(
        self, segment: Segment, buffers: Sequence[BufferSpec], threads: int | None, *, follows_affinity: bool
    ) -> None:
        self._steps = segment.steps
        kernels = [_native(step) for step in segment.steps]
        planned = min((kernel.machine.cores for kernel in kernels), default=1)
        self._threads = planned if threads is None else min(threads, planned)
        self._follows_affinity = follows_affinity
        compile_ahead(_code(segment.steps, kernels), self._threads)
        self._compiled = [_compiled(step, kernel) for step, kernel in zip(segment.steps, kernels, strict=True)]
        self._lines = STEP_LINES + self._threads
        self._step_bytes = 8 * LINE * self._lines
        self._parts = _parts(segment.steps)
        self._spare: list[_Call] = []
        self._weights: list[tuple[Array, ...]] | None = None

        used = {slot for step in segment.steps for slot in (*step.inputs, *step.outputs, step.workspace)}
        self._outside = tuple(sorted(slot for slot in used if buffers[slot].offset is None))
        # The largest first: `_place` learns from it where the arena lies, and an empty array may lie anywhere.
        inside = sorted((s for s in used if buffers[s].offset is not None), key=lambda s: -buffers[s].type.nbytes)
        self._inside = np.array(inside, np.intp)
        self._offsets = np.array([buffers[slot].offset for slot in inside], np.int64)
        self._slots = len(buffers)

    def run(self, frame: Frame, timer: StepTimer | None = None) -> None:
        """Compute every step on the frame's buffers; with a timer, run them one by one and report each.

        Timed, each step costs one native call more, 1 to 2 microseconds.
        """
        if self._weights is None:
            self._load_resident()
        try:
            call = self._spare.pop()
        except IndexError:
            call = self._new_call()
        try:
            self._place(call, frame)
            if timer is None:
                self._run(call)
            else:
                self._run_timed(call, timer)
        finally:
            self._spare.append(call)

    def _hands(self) -> tuple[int, Set[int]]:
        """Return how many threads compute a call, and the processors that they may run on (none: any).

        They are fewer than planned where affinity or quota allow no more by now.
        """
        if self._threads == 1 or not self._follows_affinity:
            return self._threads, ANYWHERE
        allowed = allowed_cores()
        usable = usable_cores(allowed)
        return (usable if usable < self._threads else self._threads), allowed

    def _run(self, call: _Call) -> None:
        team, (threads, allowed) = workers(), self._hands()
        for part in self._parts:
            if part.streamed:
                self._run_in_pieces(call, part.first, team, threads, allowed)
            else:
                place = call.table_address + part.first * self._step_bytes
                team.run(place, part.count, self._lines, threads, allowed)

    def _run_timed(self, call: _Call, timer: StepTimer) -> None:
        team, (threads, allowed) = workers(), self._hands()
        for index, step in enumerate(self._steps):
            waited = 0.0
            started = time.perf_counter()
            if step.weights.resident:
                team.run(call.table_address + index * self._step_bytes, 1, self._lines, threads, allowed)
            else:
                waited = self._run_in_pieces(call, index, team, threads, allowed)
            timer.record(step.layer_name, time.perf_counter() - started - waited, waited)

    def _run_in_pieces(self, call: _Call, index: int, team: Workers, threads: int, allowed: Set[int]) -> float:
        """Compute a step as its weights come, and return the seconds that it waited for them."""
        step = self._steps[index]
        units, slices = self._compiled[index].units, self._compiled[index].slices
        place = self._argument_starts[index] + len(step.inputs) + len(step.outputs)
        entry = index * self._step_bytes // 8
        waited = 0.0
        asked = time.perf_counter()
        for piece in step.weights.pieces():
            waited += time.perf_counter() - asked
            arrays = cast("tuple[Array, ...]", piece.packed)
            first, last = (units * slice // slices for slice in (piece.first, piece.last))
            # Code finds a unit's weights counting from the first of all, so the pointers point to where that would be.
            before = [a.nbytes // (piece.last - piece.first) * piece.first for a in arrays]
            call.arguments[place : place + len(arrays)] = [_address(a) - b for a, b in zip(arrays, before, strict=True)]
            call.table[entry + UNITS] = last - first
            call.table[entry + FIRST_UNIT] = first
            team.run(call.table_address + index * self._step_bytes, 1, self._lines, threads, allowed)
            asked = time.perf_counter()
        return waited

    def _place(self, call: _Call, frame: Frame) -> None:
        """Write the addresses of this frame's buffers into the arguments of the steps."""
        addresses = call.addresses
        if len(self._inside):
            arena = _address(frame[self._inside[0]]) - int(self._offsets[0])
            if arena != call.arena:
                addresses[self._inside] = self._offsets + arena
                call.arena = arena
        for slot in self._outside:
            addresses[slot] = _address(frame[slot])
        np.take(addresses, self._sources, out=call.arguments, mode="clip")

    def _load_resident(self) -> None:
        """Get the weights that stay, and lay out whatever is the same in every call."""
        weights = [
            cast("tuple[Array, ...]", step.weights.get()) if step.weights.resident else () for step in self._steps
        ]
        sources: list[int] = []
        starts: list[int] = []
        resident: list[int] = []
        for step, compiled, arrays in zip(self._steps, self._compiled, weights, strict=True):
            starts.append(len(sources))
            sources += [*step.inputs, *step.outputs]
            if step.weights.resident:
                sources += range(self._slots + len(resident), self._slots + len(resident) + len(arrays))
                resident += [_address(a) for a in arrays]
            else:
                sources += [0] * compiled.arrays
            sources.append(step.workspace)
        self._sources = np.array(sources, np.intp)
        self._argument_starts = starts
        self._resident = np.array(resident, np.int64)
        self._weights = weights  # last: another thread may look whether it is there

    def _new_call(self) -> _Call:
        addresses = np.zeros(self._slots + len(self._resident), np.int64)
        addresses[self._slots :] = self._resident
        arguments = aligned_words(len(self._sources) + 1)[: len(self._sources)]
        words = self._step_bytes // 8
        table = aligned_words(words * len(self._steps))
        start = _address(arguments)
        for index, compiled in enumerate(self._compiled):
            arguments_of_step = start + 8 * self._argument_starts[index]
            entry = (compiled.function, arguments_of_step, compiled.units, compiled.grain)
            table[index * words : index * words + len(entry)] = entry
        return _Call(addresses, arguments, table, _address(table))


def _parts(steps: Sequence[Step]) -> tuple[_Part, ...]:
    """Cut the steps so that each with streamed weights is alone."""
    parts: list[_Part] = []
    first = 0
    for index, step in enumerate(steps):
        if not step.weights.resident:
            parts += [_Part(first, index - first)] if index > first else []
            parts.append(_Part(index, 1, streamed=True))
            first = index + 1
    if first < len(steps):
        parts.append(_Part(first, len(steps) - first))
    return tuple(parts)


def _code(steps: Sequence[Step], kernels: Sequence[NativeKernel]) -> Iterator[CodeRequest]:
    """Return all code that the steps and packing their weights need, and the team that runs them, each once."""
    found: dict[Hashable, CodeRequest] = {"team": team_request()}
    for step, kernel in zip(steps, kernels, strict=True):
        for request in (kernel.code(step.call, step.layer_name), *kernel.packing_code(step.call)):
            found.setdefault((request.target, request.key), request)
    yield from found.values()


def _native(step: Step) -> NativeKernel:
    if not isinstance(step.kernel, NativeKernel):
        raise CnnrtError(
            f"layer {step.layer_name!r}: kernel {step.kernel.name!r} of backend {step.kernel.backend!r} is not a "
            f"NativeKernel, so it cannot run in a threaded segment; derive it from NativeKernel"
        )
    return step.kernel


def _compiled(step: Step, kernel: NativeKernel) -> _Compiled:
    call = step.call
    try:
        return _Compiled(
            function=kernel.address(call, step.layer_name),
            units=kernel.units(call),
            grain=kernel.grain(call),
            arrays=kernel.packed_arrays(call),
            slices=kernel.slices(call),
        )
    except MemoryError:
        raise
    except Exception as error:
        raise CnnrtError(
            f"layer {step.layer_name!r}: kernel {step.kernel.name!r} of backend {step.kernel.backend!r} could not be "
            f"compiled: {type(error).__name__}: {error}; this is a fault of the kernel, not of the model"
        ) from error


def _address(array: Array) -> int:
    return int(array.__array_interface__["data"][0])
