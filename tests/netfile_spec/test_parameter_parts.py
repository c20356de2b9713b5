"""Reading a tensor in parts: any order, any thread, and the checksum of the whole at the end."""

from __future__ import annotations

import itertools
import threading
import zlib
from pathlib import Path

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netfile_spec import ParameterFile, open_parameters, write_parameters
from netfile_spec.errors import ParameterFileError
from netfile_spec.parameters.checksum import joined

VALUES = np.random.default_rng(0).standard_normal((70, 30, 11)).astype(np.float32)


@pytest.fixture(params=["float32", "float16", "cnndroid"])
def stored(request: pytest.FixtureRequest, tmp_path: Path) -> ParameterFile:
    path = tmp_path / "tensor.msg"
    if request.param == "cnndroid":
        write_parameters(path, {"weight": VALUES}, layout="cnndroid")
    else:
        write_parameters(path, {"weight": VALUES.astype(request.param)})
    return open_parameters(path)


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_the_checksum_of_two_strings_follows_from_theirs(first: bytes, second: bytes) -> None:
    assert joined(zlib.crc32(first), zlib.crc32(second), len(second)) == zlib.crc32(first + second)


def test_the_checksum_of_large_parts_too() -> None:
    data = VALUES.tobytes()
    assert joined(zlib.crc32(data[:5]), zlib.crc32(data[5:]), len(data) - 5) == zlib.crc32(data)


def test_parts_in_any_order_are_those_of_the_tensor(stored: ParameterFile) -> None:
    parts = stored.parts(0)
    whole = stored.load(0).astype(np.float32).reshape(-1)
    assert parts.size == whole.size
    found = np.zeros_like(whole)
    edges = [0, 1, 100, 5000, 5001, whole.size]
    pairs = list(itertools.pairwise(edges))
    threads = [threading.Thread(target=parts.read, args=(a, found[a:b])) for a, b in reversed(pairs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    parts.finish()
    assert np.array_equal(found, whole)


def damaged(tmp_path: Path) -> Path:
    path = tmp_path / "damaged.msg"
    write_parameters(path, {"weight": VALUES})
    data = bytearray(path.read_bytes())
    data[-4000] ^= 1
    path.write_bytes(bytes(data))
    return path


@pytest.mark.parametrize("read", [[(0, 23100)], [(20000, 3100), (0, 20000)], [], [(7, 100)], [(0, 100), (50, 100)]])
def test_damage_is_noticed_at_the_end_whatever_was_read(tmp_path: Path, read: list[tuple[int, int]]) -> None:
    parts = open_parameters(damaged(tmp_path)).parts("weight")
    for first, count in read:
        parts.read(first, np.empty(count, np.float32))
    with pytest.raises(ParameterFileError, match="'weight' is damaged: its checksum"):
        parts.finish()


@pytest.mark.parametrize("read", [[], [(7, 100)], [(0, 100), (50, 100), (23000, 100)], [(100, 23000)]])
def test_gaps_and_overlaps_are_no_damage(tmp_path: Path, read: list[tuple[int, int]]) -> None:
    path = tmp_path / "tensor.msg"
    write_parameters(path, {"weight": VALUES})
    parts = open_parameters(path).parts("weight")
    for first, count in read:
        parts.read(first, np.empty(count, np.float32))
    parts.finish()


def test_values_that_are_not_there_are_a_fault_of_the_caller(tmp_path: Path) -> None:
    path = tmp_path / "tensor.msg"
    write_parameters(path, {"weight": VALUES})
    with pytest.raises(IndexError, match="of 23100"):
        open_parameters(path).parts("weight").read(23000, np.empty(101, np.float32))


def test_a_file_that_is_replaced_meanwhile_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "tensor.msg"
    write_parameters(path, {"weight": VALUES})
    parts = open_parameters(path).parts("weight")
    parts.read(0, np.empty(100, np.float32))
    write_parameters(path, {"weight": VALUES[:1]})
    with pytest.raises(ParameterFileError, match="changed or replaced"):
        parts.read(100, np.empty(100, np.float32))


@given(
    st.lists(st.integers(1, 12), min_size=1, max_size=4),
    st.booleans(),
    st.integers(20, 3000),
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=6),
)
def test_parts_of_cnndroids_lists_are_decoded_where_they_lie(
    tmp_path_factory: pytest.TempPathFactory,
    shape: list[int],
    double: bool,
    block: int,
    spans: list[tuple[float, float]],
) -> None:
    values = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    path = tmp_path_factory.mktemp("lists") / "tensor.msg"
    path.write_bytes(msgpack.packb(values.tolist(), use_single_float=not double))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("netfile_spec.parameters.uniform_list.BLOCK", block)
        parts = open_parameters(path).parts(0)
        assert parts.bounded
        for ends in spans:
            first, last = (int(end * values.size) for end in sorted(ends))
            out = np.empty(last - first, np.float32)
            parts.read(first, out)
            assert np.array_equal(out, values.reshape(-1)[first:last])


def test_a_mixture_of_numbers_is_decoded_as_a_whole(tmp_path: Path) -> None:
    values = [[0.5] * 9000, [0.25] * 8999 + [2]]
    path = tmp_path / "mixed.msg"
    path.write_bytes(msgpack.packb(values, use_single_float=True))
    parts = open_parameters(path).parts(0)
    out = np.empty(9000, np.float32)
    for row in (0, 1, 0):
        parts.read(9000 * row, out)
        assert np.array_equal(out, np.array(values[row], np.float32))
    parts.finish()
