"""Packed files: what is written is what is read or looked at, and pages that were looked at are given back."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnrt.backend import Packed
from cnnrt.file_lease import LEASES
from cnnrt.layer import Array
from cnnrt.mapped_file import HUGE_PAGE
from cnnrt.packed_file import PackedFile, PackedFileError
from cnnrt.packed_file_writer import write_packed
from cnnrt.weight_stream import byte_buffer

MIB = 1 << 20
needs_leases = pytest.mark.skipif(not LEASES, reason="nothing is looked at in place where the system has no leases")


def written(path: Path, arrays: tuple[Array, ...], slices: int, at_once: int = 1) -> PackedFile:
    """A packed file of arrays, each cut into slices along its first axis."""

    def pack(first: int, last: int) -> Packed:
        return tuple(a[first * rows(a, slices) : last * rows(a, slices)] for a in arrays)

    write_packed(path, "key", slices, at_once, pack, lambda: None)
    return PackedFile(path, "key", slices)


def rows(array: Array, slices: int) -> int:
    return -(-len(array) // slices)


@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(1, 40)), min_size=1, max_size=3),
    st.integers(1, 5),
    st.integers(1, 4),
    st.sampled_from([1 << 7, 1 << 9, HUGE_PAGE]),
)
def test_what_is_written_in_blocks_is_what_is_read_and_looked_at(
    tmp_path_factory: pytest.TempPathFactory, shapes: list[tuple[int, int]], slices: int, at_once: int, block: int
) -> None:
    rng = np.random.default_rng(0)
    arrays = tuple(rng.standard_normal((slices * count, width)).astype(np.float32) for count, width in shapes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cnnrt.packed_file_writer.HUGE_PAGE", block)
        file = written(tmp_path_factory.mktemp("packed") / "weights.packed", arrays, slices, at_once)
    buffer = byte_buffer(sum(a.nbytes + 64 for a in arrays))
    for first in range(0, slices, at_once):
        last = min(first + at_once, slices)
        right = [a[first * rows(a, slices) : last * rows(a, slices)] for a in arrays]
        for found, own in zip(file.read(first, last, buffer), right, strict=True):
            np.testing.assert_array_equal(found, own)
        if LEASES:
            with file.held() as held, held.slices(first, last) as seen:
                for found, own in zip(seen, right, strict=True):
                    np.testing.assert_array_equal(found, own)


def resident(path: Path) -> int:
    """Bytes of a mapped file that count as this process's memory."""
    smaps = Path("/proc/self/smaps").read_text(encoding="utf-8")
    found = re.findall(rf"{re.escape(str(path))}\n(?:\w+:.*\n)*?Rss: +(\d+) kB", smaps)
    return sum(int(kib) << 10 for kib in found)


@needs_leases
def test_no_more_than_a_piece_and_a_huge_page_at_each_end_is_in_memory_and_then_nothing(tmp_path: Path) -> None:
    slices, at_once = 36, 5
    path = tmp_path / "weights.packed"
    file = written(path, (np.ones((slices, MIB // 4), np.float32), np.ones((slices, 16), np.float32)), slices, 4)
    for _ in range(2):
        with file.held() as held:
            for first in range(0, slices, at_once):
                last = min(first + at_once, slices)
                with held.slices(first, last) as (large, small):
                    assert large.sum() == (last - first) * MIB / 4
                    assert small.sum() == (last - first) * 16
                    piece = large.nbytes + small.nbytes
                    assert large.nbytes <= resident(path) <= piece + 2 * HUGE_PAGE
                assert resident(path) == 0


def remove(file: Path) -> None:
    file.unlink()


def cut_short(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def replace(file: Path) -> None:
    content = file.read_bytes()
    file.with_name("beside").write_bytes(content)
    file.with_name("beside").replace(file)


@needs_leases
@pytest.mark.parametrize("harm", [remove, cut_short, replace])
def test_a_file_that_is_gone_shorter_or_another_is_an_error_and_not_looked_at(
    tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    path = tmp_path / "weights.packed"
    file = written(path, (np.ones((4, 5000), np.float32),), 4)
    with file.held() as held, held.slices(0, 4) as (seen,):
        assert seen.sum() == 20_000
    harm(path)
    with pytest.raises(PackedFileError, match=r"weights\.packed"), file.held():
        pass


@needs_leases
def test_several_calls_look_at_a_file_at_a_time(tmp_path: Path) -> None:
    file = written(tmp_path / "weights.packed", (np.arange(4, dtype=np.float32),), 4)
    with file.held() as one, file.held() as another:
        with one.slices(0, 2) as (first,), another.slices(0, 2) as (second,):
            assert (*first, *second) == (0, 1, 0, 1)
        with one.slices(2, 4) as (rest,):
            assert (*rest,) == (2, 3)


@needs_leases
def test_a_piece_is_not_looked_at_while_somebody_waits_to_write(tmp_path: Path) -> None:
    path = tmp_path / "weights.packed"
    file = written(path, (np.ones((4, 5000), np.float32),), 4)
    with file.held() as held:
        with held.slices(0, 1):
            pass
        with pytest.raises(BlockingIOError):
            os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        with pytest.raises(PackedFileError, match="about to be written to"), held.slices(1, 2):
            pass


@pytest.mark.parametrize("looked_at", [pytest.param(True, marks=needs_leases), False])
def test_a_slice_whose_bytes_are_others_is_damaged(tmp_path: Path, looked_at: bool) -> None:
    path = tmp_path / "weights.packed"
    written(path, (np.ones((4, 5000), np.float32),), 4)
    with path.open("r+b") as stream:
        stream.seek(30_000)
        stream.write(b"\xff\xfe")
    file = PackedFile(path, "key", 4)
    if looked_at:
        with file.held() as held, pytest.raises(PackedFileError, match="damaged"), held.slices(0, 4):
            pass
    else:
        with pytest.raises(PackedFileError, match="damaged"):
            file.read(0, 4, byte_buffer(4 * 20_000))


def test_a_header_that_places_an_array_anywhere_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.packed"
    written(path, (np.ones((1, 8), np.float32), np.ones((1, 8), np.float32)), 1)
    path.write_bytes(path.read_bytes().replace(b'"offset":64', b'"offset":61'))
    with pytest.raises(PackedFileError, match="header is damaged"):
        PackedFile(path, "key", 1)
