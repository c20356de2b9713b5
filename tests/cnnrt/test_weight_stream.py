"""Weights read ahead: in order, inside the ring, and whatever happens to who reads them."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnrt.layer import Array
from cnnrt.weight_stream import PieceToRead, Ring, WeightStream, byte_buffer, current_stream, streaming

PATIENCE = 20.0


class Numbers:
    """Weights whose slice i is `size` bytes of value i. Notes where each was read; `fault(first)` may raise."""

    def __init__(self, slices: int, size: int, fault: Any = None) -> None:
        self.slices, self.size, self.fault = slices, size, fault
        self.read_by: list[str] = []

    def read(self, first: int, last: int, buffer: Array) -> Array:
        self.read_by.append(threading.current_thread().name)
        if self.fault:
            self.fault(first)
        own = buffer[: (last - first) * self.size]
        own[...] = np.repeat(np.arange(first, last, dtype=np.uint8), self.size)
        return own

    def pieces(self) -> list[PieceToRead]:
        return [PieceToRead(self, i, i + 1, self.size) for i in range(self.slices)]

    def check(self, stream: WeightStream) -> None:
        seen = []
        for piece in stream.pieces(self, self.slices):
            assert np.all(piece.packed == piece.first)
            seen.append((piece.first, piece.last))
        assert seen == [(i, i + 1) for i in range(self.slices)]


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(1, 40)), min_size=1, max_size=8), st.integers(0, 3))
def test_pieces_come_in_order_whatever_their_sizes_and_never_overlap_what_is_in_use(
    sizes: list[tuple[int, int]], more: int
) -> None:
    layers = [Numbers(slices, 64 * size) for slices, size in sizes]
    ring = byte_buffer(64 * (max(size for _, size in sizes) + 13 * more))
    with streaming([piece for weights in layers for piece in weights.pieces()], ring):
        stream = current_stream()
        assert stream
        for weights in layers:
            weights.check(stream)
    assert current_stream() is None
    assert not [t for t in threading.enumerate() if t.name == "cnnrt-reader"]


@given(st.integers(1, 30), st.lists(st.integers(1, 12), max_size=40), st.data())
def test_spans_of_the_ring_lie_inside_and_apart(size: int, wanted: list[int], data: st.DataObject) -> None:
    ring = Ring(np.empty(64 * size, np.uint8))
    taken: list[tuple[int, int]] = []
    for lines in wanted:
        start = ring.place(64 * lines)
        if start is None:
            assert taken or lines > size
        else:
            span = (start, start + 64 * lines)
            assert 0 <= span[0] < span[1] <= 64 * size
            assert all(span[1] <= a or b <= span[0] for a, b in taken)
            taken.append(span)
        if taken and data.draw(st.booleans()):
            ring.free()
            taken.pop(0)


def test_the_next_piece_is_read_while_one_is_in_use() -> None:
    second = threading.Event()
    weights = Numbers(3, 64, lambda first: second.set() if first == 1 else None)
    with streaming(weights.pieces(), byte_buffer(128)):
        stream = current_stream()
        assert stream
        pieces = stream.pieces(weights, 3)
        assert np.all(next(pieces).packed == 0)
        assert second.wait(PATIENCE)
        assert [piece.first for piece in pieces] == [1, 2]
    assert set(weights.read_by) == {"cnnrt-reader"}


def test_an_error_is_raised_where_the_weights_are_needed_and_the_reader_ends() -> None:
    def fault(first: int) -> None:
        if first == 2:
            raise OSError("the file ends here")

    weights = Numbers(4, 64, fault)
    seen = []

    def call() -> None:
        with streaming(weights.pieces(), byte_buffer(128)):
            stream = current_stream()
            assert stream
            for piece in stream.pieces(weights, 4):
                seen.append(piece.first)

    with pytest.raises(OSError, match="the file ends here"):
        call()
    assert seen == [0, 1]
    assert not [t for t in threading.enumerate() if t.name == "cnnrt-reader"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("dies_at", [0, 1, 3])
def test_when_the_reader_is_killed_the_caller_reads_the_rest(dies_at: int) -> None:
    def fault(first: int) -> None:
        if first == dies_at and threading.current_thread().name == "cnnrt-reader":
            raise SystemExit

    weights = Numbers(5, 64, fault)
    with streaming(weights.pieces(), byte_buffer(128)):
        stream = current_stream()
        assert stream
        weights.check(stream)
    assert weights.read_by[-1] != "cnnrt-reader"


def test_where_no_thread_can_be_started_the_caller_reads_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    weights = Numbers(4, 64)
    with streaming(weights.pieces(), byte_buffer(64)):
        stream = current_stream()
        assert stream
        weights.check(stream)
    assert "cnnrt-reader" not in weights.read_by


def test_weights_that_nobody_asks_for_are_passed_over() -> None:
    layers = [Numbers(3, 64) for _ in range(3)]
    with streaming([piece for weights in layers for piece in weights.pieces()], byte_buffer(128)):
        stream = current_stream()
        assert stream
        layers[2].check(stream)
        with pytest.raises(IndexError):
            layers[0].check(stream)


def test_a_call_that_fails_leaves_no_reader_behind() -> None:
    weights = Numbers(50, 64, lambda first: time.sleep(0.001))

    def call() -> None:
        with streaming(weights.pieces(), byte_buffer(128)):
            stream = current_stream()
            assert stream
            next(stream.pieces(weights, 50))
            raise ValueError("a kernel failed")

    with pytest.raises(ValueError, match="a kernel failed"):
        call()
    assert not [t for t in threading.enumerate() if t.name == "cnnrt-reader"]
