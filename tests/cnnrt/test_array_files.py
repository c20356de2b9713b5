"""A .npz archive: its sizes are checked before anything is unpacked."""

from __future__ import annotations

import os
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from cnnrt.cli.array_files import ALWAYS_ALLOWED, LARGEST_RATIO, MOST_ARRAYS, read_npz
from cnnrt.errors import InputError


def write_zeros(path: Path, nbytes: int) -> None:
    np.savez_compressed(path, x=np.zeros(nbytes, np.uint8))


def overlapping(path: Path, members: int) -> None:
    """Make all members of an archive mean the bytes of its first one."""
    data = path.read_bytes()
    start, end = data.index(b"PK\x01\x02"), data.index(b"PK\x05\x06")
    record = data[start:end] * members
    tail = struct.pack("<HHHHIIH", 0, 0, members, members, len(record), start, 0)
    path.write_bytes(data[:start] + record + b"PK\x05\x06" + tail)


def refused(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_npz(path)
    return str(caught.value)


def test_arrays_are_read_by_name(tmp_path: Path) -> None:
    first, second = np.arange(6, dtype=np.float32).reshape(2, 3), np.ones(4, np.float64)
    np.savez(tmp_path / "a.npz", first=first, second=second)
    np.savez_compressed(tmp_path / "b.npz", first=first, second=second)
    for name in ("a.npz", "b.npz"):
        read = read_npz(tmp_path / name)
        assert list(read) == ["first", "second"]
        np.testing.assert_array_equal(read["first"], first)
        np.testing.assert_array_equal(read["second"], second)


def test_an_archive_that_grows_beyond_measure_is_refused(tmp_path: Path) -> None:
    write_zeros(tmp_path / "allowed.npz", ALWAYS_ALLOWED - 1000)
    assert read_npz(tmp_path / "allowed.npz")["x"].nbytes == ALWAYS_ALLOWED - 1000
    write_zeros(tmp_path / "bomb.npz", ALWAYS_ALLOWED + 1000)
    assert f"more than {LARGEST_RATIO} times as many" in refused(tmp_path / "bomb.npz")


def test_members_that_share_their_bytes_count_each(tmp_path: Path) -> None:
    write_zeros(tmp_path / "shared.npz", 8 << 20)
    overlapping(tmp_path / "shared.npz", 9)
    assert f"more than {LARGEST_RATIO} times as many" in refused(tmp_path / "shared.npz")


def test_a_large_archive_that_hardly_grows_is_read(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, ALWAYS_ALLOWED // 4, np.uint8)
    np.savez_compressed(tmp_path / "x.npz", a=noise, b=noise, c=noise, d=noise, e=noise)
    assert sum(a.nbytes for a in read_npz(tmp_path / "x.npz").values()) > ALWAYS_ALLOWED


def test_members_are_not_read_without_number(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        for i in range(MOST_ARRAYS + 1):
            archive.writestr(f"{i}.npy", b"")
    assert "holds more than 1,000 arrays" in refused(tmp_path / "x.npz")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_only_what_numpy_writes_is_unpacked(tmp_path: Path, method: int) -> None:
    with zipfile.ZipFile(tmp_path / "x.npz", "w", method) as archive:
        archive.writestr("x.npy", b"")
    assert "compressed in a way that numpy.savez never uses" in refused(tmp_path / "x.npz")


def test_an_encrypted_member_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=np.ones(3))
    data = bytearray((tmp_path / "x.npz").read_bytes())
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + flags] |= 1
    (tmp_path / "x.npz").write_bytes(data)
    assert "cannot be read as .npz" in refused(tmp_path / "x.npz")


def test_a_header_that_promises_more_than_is_there_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.ones(3, np.float32))
    content = (tmp_path / "x.npy").read_bytes().replace(b"(3,), }      ", b"(9000000000,), }", 1)
    for header, message in {
        content: "holds less than its header's shape",
        b"\x93NUMPY\x01\0\x01": "cannot be read",
    }.items():
        with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
            archive.writestr("x.npy", header)
        assert message in refused(tmp_path / "x.npz")


def test_what_is_no_regular_file_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.npz")
    assert "is not a regular file" in refused(tmp_path / "pipe.npz")
