"""A network prepared for given input shapes, and how it is run.

Inside `run` no hook is called, nothing is looked up by name: arrays are put into numbered slots and the
segments are run one after the other.
"""

from __future__ import annotations

import queue
from collections.abc import Sequence

import numpy as np

from cnnrt.after_fork import renew_after_fork
from cnnrt.backend import BufferSpec, Frame, Runnable, StepTimer
from cnnrt.buffers import ALIGNMENT, Buffers
from cnnrt.layer import Array
from cnnrt.layouts import physical_shape
from cnnrt.plan import Plan


class Prepared:
    """Runnable segments with the frames that they work on, one for each call that may run at a time."""

    def __init__(self, runnables: Sequence[Runnable], buffers: Buffers, plan: Plan, concurrency: int) -> None:
        self.plan = plan
        self._runnables = tuple(runnables)
        self._buffers = buffers
        self._outputs = [(slot, buffers.specs[slot].type) for slot in buffers.outputs]
        self._views = [(v.slot, v.root, physical_shape(buffers.specs[v.slot].type)) for v in buffers.views]
        self._concurrency = concurrency
        self.after_fork()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Plan as many frames as at first: calls of other threads are not there to give theirs back."""
        self._frames: queue.LifoQueue[Frame | None] = queue.LifoQueue()
        for _ in range(self._concurrency):
            self._frames.put(None)  # made at first use, so that preparing allocates no arena

    def run(self, inputs: Sequence[Array], timer: StepTimer | None = None) -> list[Array]:
        """Compute the wanted values, in order, from the inputs, in order.

        Inputs are C-contiguous float32 of the prepared shapes; results are fresh arrays. Waits for its turn
        where as many calls run as frames were planned.
        """
        frame = self._frames.get()
        try:
            if frame is None:
                frame = make_frame(self._buffers.specs, self._buffers.arena_bytes)
            for slot, array in zip(self._buffers.inputs, inputs, strict=True):
                frame[slot] = _read_only(array)
            for slot, tensor in self._outputs:
                frame[slot] = np.empty(tensor.shape, tensor.dtype)
            for slot, root, shape in self._views:
                frame[slot] = frame[root].reshape(shape)
            for runnable in self._runnables:
                runnable.run(frame, timer)
            return [frame[slot].copy() if shared else frame[slot] for slot, shared in self._buffers.results]
        finally:
            if frame is not None:
                self._forget(frame)
            self._frames.put(frame)

    def _forget(self, frame: Frame) -> None:
        """Let go of the caller's arrays."""
        for slot in (*self._buffers.inputs, *self._buffers.outputs, *(v.slot for v in self._buffers.views)):
            frame[slot] = _NOTHING


_NOTHING = np.empty(0, np.float32)


def make_frame(specs: Sequence[BufferSpec], arena_bytes: int) -> Frame:
    """Allocate an arena and return the frame of arrays in it; slots outside it hold an empty array."""
    raw = np.empty(arena_bytes + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    arena = raw[start : start + arena_bytes]
    frame = []
    for spec in specs:
        if spec.offset is None:
            frame.append(_NOTHING)
        else:
            nbytes = spec.type.nbytes
            flat = arena[spec.offset : spec.offset + nbytes].view(spec.type.dtype)
            frame.append(flat.reshape(physical_shape(spec.type)))
    return frame


def _read_only(array: Array) -> Array:
    view = array.view()
    view.flags.writeable = False
    return view
