"""Weights that are read for a call, ahead of their use: a thread fills a ring of buffers while kernels compute.

The thread lives as long as the call. Whatever becomes of it, the call goes on: what it did not bring is read by the
caller; an error of a file is raised where its weights are needed.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import attrs
import numpy as np

from cnnrt.backend import Packed, WeightPiece
from cnnrt.layer import Array

ALIGNMENT = 64
LOOK_SECONDS = 0.05
"""After that, who waits for a piece looks whether the reader is still there."""


class Reads(Protocol):
    """Weights that can be read slice by slice."""

    def read(self, first: int, last: int, buffer: Array) -> Packed:
        """Return slices, in the start of a buffer of bytes if that is where they can be read."""


@attrs.frozen
class PieceToRead:
    """Slices `first` to before `last` of some weights, for which the ring needs so many bytes."""

    weights: Reads
    first: int
    last: int
    nbytes: int


@attrs.define
class _Live:
    """A piece in the ring: read, being read (`packed` is None), or failed."""

    piece: PieceToRead
    start: int
    packed: Packed = None
    done: bool = False
    failure: BaseException | None = None


def byte_buffer(nbytes: int) -> Array:
    """Return an array of bytes that begins on a cache line. Pages that nothing is written to take no memory."""
    raw = np.empty(nbytes + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + nbytes]


class Ring:
    """A buffer of bytes in which pieces lie one behind the other; the oldest goes first."""

    def __init__(self, buffer: Array) -> None:
        self.bytes = buffer
        self._spans: deque[tuple[int, int]] = deque()

    def place(self, nbytes: int) -> int | None:
        """Return the start of a free span of so many bytes, which is taken now; None where there is none."""
        nbytes = -(-nbytes // ALIGNMENT) * ALIGNMENT
        size = self.bytes.size
        if not self._spans:
            start = 0 if nbytes <= size else None
        else:
            first, end = self._spans[0][0], sum(self._spans[-1])
            if self._spans[-1][0] >= first:  # free: behind the last, and before the first
                start = end if end + nbytes <= size else 0 if nbytes <= first else None
            else:
                start = end if end + nbytes <= first else None
        if start is not None:
            self._spans.append((start, nbytes))
        return start

    def free(self) -> None:
        """Give back the oldest span."""
        self._spans.popleft()


class WeightStream:
    """The pieces of one call, in the order in which they are needed."""

    def __init__(self, order: Sequence[PieceToRead], buffer: Array) -> None:
        self._order = order
        self._ring = Ring(buffer)
        self._next = 0
        self._live: deque[_Live] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._reader = threading.Thread(target=self._read_ahead, name="cnnrt-reader", daemon=True)
        self._alive = False

    def start(self) -> None:
        """Begin to read; where the system starts no thread, the caller reads everything itself."""
        self._alive = True
        try:
            self._reader.start()
        except RuntimeError:
            self._alive = False

    def close(self) -> None:
        """End the reader, and wait until it touches the ring no more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._reader.ident is not None:
            self._reader.join()

    def pieces(self, weights: Reads, count: int) -> Iterator[WeightPiece]:
        """Yield the next `count` pieces of some weights; each is valid until the next is asked for."""
        for _ in range(count):
            live = self._take(weights)
            try:
                yield WeightPiece(live.packed, live.piece.first, live.piece.last)
            finally:
                live.packed = None
                with self._changed:
                    self._ring.free()
                    self._live.popleft()
                    self._changed.notify_all()

    def _take(self, weights: Reads) -> _Live:
        """Wait for the next piece of some weights; those of others that nobody asked for are passed over."""
        while True:
            live = self._first()
            if live.failure is None and live.piece.weights is weights:
                return live
            with self._changed:
                self._ring.free()
                self._live.popleft()
                self._changed.notify_all()
            if live.piece.weights is weights and live.failure is not None:
                raise live.failure

    def _first(self) -> _Live:
        with self._changed:
            while not (self._live and self._live[0].done):
                if not self._alive or not self._reader.is_alive():
                    break
                self._changed.wait(LOOK_SECONDS)
            if self._live and self._live[0].done:
                return self._live[0]
            # The reader is gone: what it began is begun again, here.
            live = self._live[0] if self._live else self._begin()
        if live is None:
            raise IndexError("more weights were asked for than this call reads")
        self._fill(live)
        return live

    def _begin(self) -> _Live | None:
        """Take room for the next piece; None where all are begun, or there is no room now. Called under the lock."""
        if self._next == len(self._order):
            return None
        piece = self._order[self._next]
        start = self._ring.place(piece.nbytes)
        if start is None:
            return None
        self._next += 1
        live = _Live(piece, start)
        self._live.append(live)
        return live

    def _fill(self, live: _Live) -> None:
        piece = live.piece
        try:
            live.packed = piece.weights.read(piece.first, piece.last, self._ring.bytes[live.start :])
        except Exception as error:
            live.failure = error
        live.done = True

    def _read_ahead(self) -> None:
        while True:
            with self._changed:
                live = None if self._closed else self._begin()
                while live is None:
                    if self._closed or self._next == len(self._order):
                        return
                    self._changed.wait()
                    live = None if self._closed else self._begin()
            self._fill(live)
            with self._changed:
                self._changed.notify_all()


_running = threading.local()


@contextmanager
def streaming(order: Sequence[PieceToRead], buffer: Array) -> Iterator[None]:
    """Read the pieces of a call that this thread runs inside the block, ahead of their use, into a `byte_buffer`."""
    stream = WeightStream(order, buffer)
    stream.start()
    _running.stream = stream
    try:
        yield
    finally:
        _running.stream = None
        stream.close()


def current_stream() -> WeightStream | None:
    """Return the stream of the call that this thread runs."""
    return getattr(_running, "stream", None)
