"""Leases: while one is held nobody can write to the file or cut it short, and who waits is heard of."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cnnrt.file_lease import LEASES, lease_stands, leased

TRUNCATE = "import os, sys; os.truncate(sys.argv[1], 1)"


@pytest.fixture
def descriptor(tmp_path: Path) -> Iterator[int]:
    path = tmp_path / "file"
    path.write_bytes(bytes(10_000))
    opened = os.open(path, os.O_RDONLY)
    try:
        with leased(opened):
            pass
    except OSError as error:
        pytest.skip(f"no leases here: {error}")
    yield opened
    os.close(opened)


def test_while_a_lease_is_held_nobody_writes_and_then_they_may(descriptor: int, tmp_path: Path) -> None:
    writing = os.O_WRONLY | os.O_NONBLOCK
    with leased(descriptor):
        assert lease_stands(descriptor)
        os.close(os.open(tmp_path / "file", os.O_RDONLY))
        with pytest.raises(BlockingIOError):
            os.open(tmp_path / "file", writing)
        assert not lease_stands(descriptor), "who waits is heard of"
    os.close(os.open(tmp_path / "file", writing))


def test_who_cuts_a_file_short_waits_until_the_lease_is_given_back(descriptor: int, tmp_path: Path) -> None:
    with leased(descriptor):
        other = subprocess.Popen([sys.executable, "-c", TRUNCATE, str(tmp_path / "file")])
        with pytest.raises(subprocess.TimeoutExpired):
            other.wait(timeout=0.5)
        assert os.fstat(descriptor).st_size == 10_000
    assert other.wait(timeout=20) == 0
    assert os.fstat(descriptor).st_size == 1


def test_a_file_that_is_open_to_be_written_to_gets_no_lease(descriptor: int, tmp_path: Path) -> None:
    with (tmp_path / "file").open("r+b"), pytest.raises(BlockingIOError), leased(descriptor):
        pass
    with leased(descriptor):
        assert lease_stands(descriptor)


@pytest.mark.skipif(LEASES, reason="this system has leases")
def test_where_there_are_no_leases_none_is_given(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"1")
    with path.open("rb") as file, pytest.raises(OSError, match="supported"), leased(file.fileno()):
        pass
