"""A network prepared for given input shapes, and how it is run.

Inside `run` no hook is called, nothing is looked up by name: arrays are put into numbered slots and the
segments are run one after the other.
"""

from __future__ import annotations

import itertools
import queue
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import Any

import numpy as np

from cnnrt.after_fork import renew_after_fork
from cnnrt.backend import BufferSpec, Frame, Overlapping, Runnable, StepTimer, Weights
from cnnrt.buffers import ALIGNMENT, Buffers, View
from cnnrt.errors import CnnrtError
from cnnrt.layer import Array, Shape
from cnnrt.layouts import physical_shape, place_array, strides
from cnnrt.plan import Plan
from cnnrt.weight_stream import PieceToRead, byte_buffer, streaming

PARTS_AT_ONCE = 2
"""Parts of a batch that are under way where one is copied while another is computed."""

Resident = Mapping[str, frozenset[Weights]]
"""Weights that stay, by the device in whose own memory they are; empty: in the process."""


class Prepared:
    """Runnable segments with the frames that they work on, one for each call that may run at a time.

    `runnables` come with the number of parts in which their segment goes through a batch. `order`: the pieces of
    weights that are read for each call; `resident`: those that stay, by where they are. `spare_threads`: what the host
    can do beside, while it waits for a device. `overlapped`: parts of the batch are under way at the same time.
    """

    def __init__(
        self,
        runnables: Sequence[tuple[int, Runnable]],
        buffers: Buffers,
        plan: Plan,
        concurrency: int,
        order: Sequence[PieceToRead] = (),
        resident: Resident = MappingProxyType({}),
        *,
        overlapped: bool = False,
    ) -> None:
        self.plan = plan
        self.resident = resident
        self.spare_threads = _spare_threads() if any(spec.private for spec in buffers.specs) else 0
        self._order = tuple(order)
        grouped = itertools.groupby(runnables, key=lambda r: r[0])
        self._groups = [(parts, tuple(runnable for _, runnable in group)) for parts, group in grouped]
        self._overlapped: tuple[int, Overlapping] | None = None
        if overlapped and len(runnables) == 1:
            ((parts, runnable),) = runnables
            self._overlapped = (parts, runnable) if isinstance(runnable, Overlapping) else None
        self._buffers = buffers
        self._outputs = [(slot, buffers.specs[slot].type) for slot in buffers.outputs]
        self._views = _Views(buffers.views, buffers.specs)
        self._views_of_parts = _Views(buffers.views_of_parts, buffers.specs)
        self._concurrency = concurrency
        self.after_fork()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Plan as many frames as at first: calls of other threads are not there to give theirs back."""
        self._frames: queue.LifoQueue[tuple[Frame, Array] | None] = queue.LifoQueue()
        for _ in range(self._concurrency):
            self._frames.put(None)  # made at first use, so that preparing allocates no arena

    def run(self, inputs: Sequence[Array], timer: StepTimer | None = None) -> list[Array]:
        """Compute the wanted values, in order, from the inputs, in order.

        Inputs are C-contiguous float32 of the prepared shapes; results are fresh arrays. Waits for its turn
        where as many calls run as frames were planned.
        """
        memory = self._frames.get()
        frame = None
        try:
            if memory is None:
                memory = self._make_memory()
            frame, ring = memory
            for slot, array in zip(self._buffers.inputs, inputs, strict=True):
                frame[slot] = _read_only(array)
            for slot, tensor in self._outputs:
                frame[slot] = np.empty(tensor.shape, tensor.dtype)
            self._views.show(frame)
            if self._order:
                with streaming(self._order, ring):
                    self._run(frame, timer)
            else:
                self._run(frame, timer)
            return [frame[slot].copy() if shared else frame[slot] for slot, shared in self._buffers.results]
        finally:
            if frame is not None:
                self._forget(frame)
            self._frames.put(memory)

    def release(self) -> None:
        """Wait for the calls that run, and let go of their arenas; another call would make a new one."""
        for _ in range(self._concurrency):
            self._frames.get()
        for _ in range(self._concurrency):
            self._frames.put(None)

    def _make_memory(self) -> tuple[Frame, Array]:
        """Allocate what a call works on: a frame, and the ring through which weights pass."""
        frame = make_frame(self._buffers.specs, self._buffers.arena_bytes)
        return frame, byte_buffer(self.plan.memory.stream_buffers)

    def _run(self, frame: Frame, timer: StepTimer | None) -> None:
        if self._overlapped is not None and timer is None:
            self._run_overlapped(frame, *self._overlapped)
            return
        for parts, runnables in self._groups:
            for part in range(parts):
                if parts > 1:
                    self._move_windows(frame, part)
                for runnable in runnables:
                    runnable.run(frame, timer)

    def _run_overlapped(self, frame: Frame, parts: int, runnable: Overlapping) -> None:
        """Run a part of the batch while the one before is under way, so that one is copied while another computes."""
        begun: deque[Callable[[], None]] = deque()
        try:
            for part in range(parts):
                if len(begun) == PARTS_AT_ONCE:
                    begun.popleft()()
                self._move_windows(frame, part)
                begun.append(runnable.begin(frame))
            while begun:
                begun.popleft()()
        finally:
            for wait in begun:  # after a failure: nothing may go on with arrays that are given back
                with suppress(CnnrtError):
                    wait()

    def _move_windows(self, frame: Frame, part: int) -> None:
        """Show the items of a part of the batch."""
        for window in self._buffers.windows:
            first = part * window.items
            frame[window.slot] = frame[window.whole][first : first + window.items]
        self._views_of_parts.show(frame)

    def _forget(self, frame: Frame) -> None:
        """Let go of the caller's arrays."""
        b = self._buffers
        shown = [v.slot for v in (*b.views, *b.views_of_parts)] + [w.slot for w in b.windows]
        for slot in (*b.inputs, *b.outputs, *shown):
            frame[slot] = _NOTHING


class _Views:
    """Slots that show other ones, and how: as a whole in another shape, or a part (shape, dtype, offset, strides)."""

    def __init__(self, views: Sequence[View], specs: Sequence[BufferSpec]) -> None:
        self._whole: list[tuple[int, int, Shape]] = []
        self._parts: list[tuple[int, int, Shape, np.dtype[Any], int, tuple[int, ...] | None]] = []
        for v in views:
            tensor = specs[v.slot].type
            shape = physical_shape(tensor)
            if v.offset is None:
                self._whole.append((v.slot, v.root, shape))
            else:
                offset = v.offset if tensor.nbytes else 0
                self._parts.append((v.slot, v.root, shape, np.dtype(tensor.dtype), offset, strides(tensor)))

    def show(self, frame: Frame) -> None:
        """Fill the slots anew, since those that they show were."""
        for slot, root, shape in self._whole:
            frame[slot] = frame[root].reshape(shape)
        for slot, root, shape, dtype, offset, steps in self._parts:
            frame[slot] = np.ndarray(shape, dtype, frame[root], offset, steps)


_NOTHING = np.empty(0, np.float32)


def _spare_threads() -> int:
    """Return how many threads may work beside the caller's where a device computes."""
    from cnnrt.hardware import usable_cores  # most have no such device

    return usable_cores() - 1


def make_frame(specs: Sequence[BufferSpec], arena_bytes: int) -> Frame:
    """Allocate an arena and return the frame of arrays in it; slots outside it and private ones are empty arrays."""
    raw = np.empty(arena_bytes + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    arena = raw[start : start + arena_bytes]
    frame = []
    for spec in specs:
        if spec.offset is None or spec.private:
            frame.append(_NOTHING)
        else:
            frame.append(place_array(arena, spec.type, spec.offset))
    return frame


def _read_only(array: Array) -> Array:
    view = array.view()
    view.flags.writeable = False
    return view
