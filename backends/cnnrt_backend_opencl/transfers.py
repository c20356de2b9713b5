"""Ways in and out of a segment, for arrays of the frame.

Where device and host share memory, the device works in the array itself. Elsewhere the array's bytes go through
pinned memory, from which the device copies by itself: while one piece is on its way, the next one is filled.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from cnnrt.layer import Array
from cnnrt_backend_opencl.driver import BOTH, READ, Handle
from cnnrt_backend_opencl.host_copies import HostCopies
from cnnrt_backend_opencl.limits import STAGING
from cnnrt_backend_opencl.session import Session

PIECE = STAGING // 2
"""Bytes of pinned memory that are filled while as many others are on their way."""


class Outside(Protocol):
    """The way of one slot of the frame."""

    slot: int

    def enter(self, queue: Handle, array: Array) -> Handle:
        """Return the buffer that kernels use; what it holds will be the array's once they read it."""

    def leave(self, queue: Handle, array: Array) -> None:
        """After the last kernel: have the array hold what they wrote, at the latest when the queue is finished."""

    def forget(self) -> None:
        """Let go of the array."""


class InPlace:
    """The device works in the array."""

    def __init__(self, session: Session, slot: int, written: bool) -> None:
        self.slot = slot
        self._session = session
        self._written = written
        self._buffer: Handle = None

    def enter(self, queue: Handle, array: Array) -> Handle:
        """Return the array's memory as a buffer; None for one without values."""
        if array.size:
            access = BOTH if self._written else READ
            self._buffer = self._session.driver.buffer_of(self._session.context, access, array)
        return self._buffer

    def leave(self, queue: Handle, array: Array) -> None:
        """Map what was written, which brings it to the host wherever the driver had it."""
        if self._buffer is not None and self._written:
            driver = self._session.driver
            driver.unmap(queue, driver.mapped(queue, self._buffer, array))

    def forget(self) -> None:
        """Release the buffer."""
        self._buffer = None


class Staged:
    """The array's bytes are copied to a buffer of the device and back, by pinned memory."""

    def __init__(self, session: Session, slot: int, nbytes: int, read: bool, written: bool, copies: HostCopies) -> None:
        self.slot = slot
        self._copies = copies
        self._session = session
        self._read, self._written = read, written
        access = BOTH if written else READ
        self._buffer = session.driver.buffer(session.context, access, nbytes) if nbytes else None
        self._piece = min(PIECE, nbytes)
        self._pinned: list[tuple[Handle, Array]] = []

    def enter(self, queue: Handle, array: Array) -> Handle:
        """Put copies of all pieces into the queue, in order, and return the buffer."""
        if self._buffer is not None and self._read:
            driver = self._session.driver
            source = array.reshape(-1).view(np.uint8)
            events: list[Handle] = [None, None]
            for number, first in enumerate(range(0, source.size, self._piece)):
                _, pinned = self._halves(queue)[number % 2]
                if events[number % 2] is not None:
                    driver.wait(events[number % 2])
                block = pinned[: min(self._piece, source.size - first)]
                self._copies.copy(block, source[first : first + block.size])
                events[number % 2] = driver.write(queue, self._buffer, block, first, wait=False)
                driver.flush(queue)
        return self._buffer

    def leave(self, queue: Handle, array: Array) -> None:
        """Read piece after piece."""
        if self._buffer is None or not self._written:
            return
        driver = self._session.driver
        target = array.reshape(-1).view(np.uint8)
        starts = range(0, target.size, self._piece)
        events: list[tuple[Handle, Array, int]] = []
        for number in range(len(starts) + 1):
            if number < len(starts):
                _, pinned = self._halves(queue)[number % 2]
                block = pinned[: min(self._piece, target.size - starts[number])]
                events.append(
                    (driver.read(queue, block, self._buffer, starts[number], wait=False), block, starts[number])
                )
                driver.flush(queue)
            if number:
                event, block, first = events[number - 1]
                driver.wait(event)
                self._copies.copy(target[first : first + block.size], block)

    def forget(self) -> None:
        """Nothing of the caller's is held."""

    def _halves(self, queue: Handle) -> list[tuple[Handle, Array]]:
        """Return two pinned pieces, mapped for as long as this lives."""
        if not self._pinned:
            session = self._session
            for _ in range(2):
                buffer = session.driver.staging(session.context, self._piece)
                form = np.empty(0, np.uint8)
                form = np.lib.stride_tricks.as_strided(form, (self._piece,))
                self._pinned.append((buffer, session.driver.mapped(queue, buffer, form, writing=True)))
        return self._pinned


def transfer_for(session: Session, slot: int, nbytes: int, read: bool, written: bool, copies: HostCopies) -> Outside:
    """Return the way of a slot on a session's device: whether steps read what is in the array, and write it."""
    if session.device.limits.shares_memory:
        return InPlace(session, slot, written)
    return Staged(session, slot, nbytes, read, written, copies)
