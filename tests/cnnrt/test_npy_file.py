"""A .npy file is mapped, never believed, never unpickled."""

from __future__ import annotations

import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest

from cnnrt.errors import InputError
from cnnrt.npy_file import read_npy


def npy(header: str, values: bytes = bytes(400)) -> bytes:
    text = header.encode() + b"\n"
    return b"\x93NUMPY\x01\0" + struct.pack("<H", len(text)) + text + values


def described(shape: str, dtype: str = "'<f4'") -> str:
    return f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}}}"


def test_an_array_is_read_without_being_copied(tmp_path: Path) -> None:
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    np.save(tmp_path / "a.npy", array)
    read = read_npy(tmp_path / "a.npy")
    np.testing.assert_array_equal(read, array)
    assert not read.flags.writeable
    assert isinstance(read.base, np.memmap)


@pytest.mark.parametrize(
    "header",
    [
        "-" * 9000 + "1",
        "(" * 9000,
        "{[]: 1}",
        "'''",
        "__import__('os').system('true')",
        described("(True, 3)"),
        described("(-1,)"),
        described("(10**10,)"),
        described("(10000000000,)"),
        described("(99999999999999999999999,)"),
        described("(0, 99999999999999999999999)"),
        described("(3,)", "(" * 90 + "'f4'" + ",)" * 90),
        described("(3,)", "'99999999999f4'"),
        described("(3,)", "'|O'"),
        described("(-1,)", "[]"),  # NumPy divides by zero and ends the process
        described("(-1,)", "'|V0'"),
        described("(0, 32767, 2147483647, 65536)", "'|u1'"),  # fits as bytes, but not as float32
    ],
)
def test_a_hostile_header_is_an_input_error(tmp_path: Path, header: str) -> None:
    (tmp_path / "a.npy").write_bytes(npy(header))
    with pytest.raises(InputError, match=r"a\.npy: cannot be read as \.npy: ."):
        read_npy(tmp_path / "a.npy")


class Bomb:
    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, ("exploded",)


def test_nothing_is_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pickled = pickle.dumps(Bomb())
    for name, content in {"bare.npy": pickled, "object.npy": npy(described("(1,)", "'|O'"), pickled)}.items():
        Path(name).write_bytes(content)
        with pytest.raises(InputError):
            read_npy(Path(name))
    assert not Path("exploded").exists()


def test_what_is_no_regular_file_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.npy")  # opening it would wait for a writer for ever
    with pytest.raises(InputError, match="is not a regular file"):
        read_npy(tmp_path / "pipe.npy")
    with pytest.raises(InputError, match="No such file"):
        read_npy(tmp_path / "gone.npy")
    with pytest.raises(InputError, match="cannot be read"):
        read_npy(Path("nul\0inside.npy"))
