"""How weights that do not stay pass through a device: a piece is on its way while kernels compute with the one before.

Where device and host share memory, kernels read a piece where the host read it to. Elsewhere it is copied to one of two
buffers on the device, by a queue of its own, so that the copy does not wait for kernels. No more than two pieces are
there at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from cnnrt.layer import Array
from cnnrt_backend_opencl.buffer_parts import BufferParts
from cnnrt_backend_opencl.discovery import ALIGNMENT
from cnnrt_backend_opencl.driver import READ, Handle
from cnnrt_backend_opencl.session import Session

CACHE_LINE = 64


class WeightPassage(Protocol):
    """The way of the weights of one call at a time."""

    def enter(self, arrays: Sequence[Array]) -> tuple[Handle, ...]:
        """Return buffers with what is in the arrays, for kernels that are put into the queue from now on.

        None stands for an array without values.
        """

    def leave(self, last: Handle) -> None:
        """Return when what entered may be overwritten. `last`: the event of the last kernel that reads it."""


class PassInPlace:
    """Kernels read the arrays themselves."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def enter(self, arrays: Sequence[Array]) -> tuple[Handle, ...]:
        """Return the arrays' own memory; a copy of one that does not begin where vectors may begin."""
        driver, context = self._session.driver, self._session.context
        return tuple(
            None
            if not a.size
            else driver.buffer_of(context, READ, a)
            if a.ctypes.data % CACHE_LINE == 0
            else driver.filled(context, a)
            for a in arrays
        )

    def leave(self, last: Handle) -> None:
        """Wait for the kernels."""
        self._session.driver.wait(last)


class PassCopied:
    """Arrays are copied to the device, in turns to one of two buffers."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._queue: Handle = None
        self._halves = _Half(session), _Half(session)
        self._turn = 0

    def enter(self, arrays: Sequence[Array]) -> tuple[Handle, ...]:
        """Copy the arrays, which waits until the kernels of the piece before the last are done."""
        half = self._halves[self._turn]
        if self._queue is None:
            self._queue = self._session.queue()
        if half.last is not None:
            self._session.driver.wait(half.last)
            half.last = None
        return half.filled(self._queue, arrays)

    def leave(self, last: Handle) -> None:
        """Return at once: the arrays are on the device."""
        self._halves[self._turn].last = last
        self._turn = 1 - self._turn


class _Half:
    """A buffer for a piece, as large as the largest so far. `last`: the event of the last kernel that reads it."""

    def __init__(self, session: Session) -> None:
        self.last: Handle = None
        self._session = session
        self._nbytes = 0
        self._buffer: Handle = None
        self._parts: BufferParts | None = None

    def filled(self, queue: Handle, arrays: Sequence[Array]) -> tuple[Handle, ...]:
        """Return parts of the buffer with what is in the arrays, which may be overwritten then."""
        driver = self._session.driver
        starts = [0]
        for array in arrays:
            starts.append(starts[-1] + -(-array.nbytes // ALIGNMENT) * ALIGNMENT)
        if starts[-1] > self._nbytes:
            self._parts = self._buffer = None  # let go of the smaller one first
            self._buffer, self._nbytes = driver.buffer(self._session.context, READ, starts[-1]), starts[-1]
            self._parts = BufferParts(driver, self._buffer)
        whole = [np.ascontiguousarray(array) for array in arrays]
        try:
            for array, start in zip(whole, starts, strict=False):
                if array.size:
                    driver.write(queue, self._buffer, array, start, wait=False)
        finally:
            driver.finish(queue)
        parts = self._parts or BufferParts(driver, None)
        return tuple(parts.part(start, a.nbytes) for a, start in zip(arrays, starts, strict=False))


def weight_passage(session: Session) -> WeightPassage:
    """Return the way of weights on a session's device."""
    return PassInPlace(session) if session.device.limits.shares_memory else PassCopied(session)
