"""What reading costs is bounded by the file: a small file claims no large memory, and a large one is held once."""

from __future__ import annotations

import os
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest

from netfile_spec import Layout, ParameterFileError, open_parameters, read_parameters, write_parameters

ONE = struct.pack(">Bf", 0xCA, 1.0)
MIB = 1 << 20


def peak_of(action: Any) -> int:
    """The most memory, in bytes, that was allocated at once while `action()` ran."""
    action()  # imports and caches are not what is measured
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_the_measure_sees_arrays() -> None:
    assert peak_of(lambda: np.empty(MIB, np.uint8)) >= MIB


def cnnrt_file(header: bytes) -> bytes:
    front = b"\x89CNNRT\r\n" + struct.pack("<II", 1, len(header)) + header
    return front + b"\0" * (-len(front) % 64)


HUGE = {"name": "w", "dtype": "float32", "shape": [1 << 30, 1 << 6], "offset": 0, "nbytes": 1 << 38, "crc32": 0}
HOSTILE = {
    "a flat list of 4 billion": b"\xdd\xff\xff\xff\xff" + ONE,
    "65535 ^ 8 numbers": b"\xdc\xff\xff" * 8 + ONE,
    "a list header at every byte": b"\xdd" * 20_000,
    "a string of 4 GiB": b"\x92" + ONE + b"\xdb\xff\xff\xff\xff",
    "a map of 4 billion": b"\x92" + ONE + b"\xdf\xff\xff\xff\xff",
    "nesting without end": b"\x91" * 50_000,
    "a cnnrt header of 4 GiB": b"\x89CNNRT\r\n" + struct.pack("<II", 1, 2**32 - 1) + bytes(100),
    "a cnnrt header with a list of 4 billion": cnnrt_file(b"\x81\xa7tensors\xdd\xff\xff\xff\xff"),
    "a cnnrt header with a string of 4 GiB": cnnrt_file(b"\x81\xa7tensors\xdb\xff\xff\xff\xff"),
    "a cnnrt header with a map of 4 billion": cnnrt_file(b"\xdf\xff\xff\xff\xff"),
    "a cnnrt header with deep nesting": cnnrt_file(b"\x81\xa7tensors" + b"\x91" * 50_000),
    "a cnnrt tensor of 256 GiB": cnnrt_file(msgpack.packb({"tensors": [HUGE]})),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_small_file_claims_no_large_memory(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "hostile.msg"
    file.write_bytes(content)

    def read() -> None:
        with pytest.raises(ParameterFileError):
            read_parameters(file)

    assert peak_of(read) < 5 * MIB


def test_the_largest_header_of_lists_in_lists_stays_small(tmp_path: Path) -> None:
    # 4096 lists of 250 empty lists each: what MessagePack can make of the largest header that is read at all.
    header = b"\x81\xa7tensors\xdc\x10\x00" + 4096 * (b"\xdc\x00\xfa" + 250 * b"\x90")
    assert len(header) <= MIB
    file = tmp_path / "hostile.msg"
    file.write_bytes(cnnrt_file(header))

    def read() -> None:
        with pytest.raises(ParameterFileError, match="tensor 0 of the header should be a map"):
            open_parameters(file)

    assert peak_of(read) < 100 * MIB


@pytest.mark.parametrize("layout", ["cnnrt", "cnndroid"])
def test_loading_holds_the_tensor_once(tmp_path: Path, layout: Layout) -> None:
    file = tmp_path / "fc6.msg"
    weight = np.ones((1024, 2048), np.float32)
    write_parameters(file, {"weight": weight}, layout=layout)
    with open_parameters(file) as parameters:
        assert peak_of(lambda: parameters.load(0)) < weight.nbytes + 2 * MIB
        out = np.empty(parameters.tensors[0].shape, np.float32)
        assert peak_of(lambda: parameters.load(0, out=out)) < 2 * MIB
        assert peak_of(parameters.verify) < 2 * MIB
    assert peak_of(lambda: open_parameters(file)) < MIB // 4


def test_a_mixture_of_encodings_is_held_once_too(tmp_path: Path) -> None:
    file = tmp_path / "fc6.msg"
    numbers = [0.5, 3, -2.25, 1000] * (MIB // 4)
    file.write_bytes(msgpack.packb(numbers, use_single_float=True))
    with open_parameters(file) as parameters:
        assert peak_of(lambda: parameters.load(0)) < 4 * MIB + 4 * MIB


@pytest.mark.parametrize("layout", ["cnnrt", "cnndroid"])
def test_writing_holds_no_copy(tmp_path: Path, layout: Layout) -> None:
    weight = np.ones((1024, 2048), np.float32)
    assert peak_of(lambda: write_parameters(tmp_path / "fc6.msg", {"w": weight}, layout=layout)) < 2 * MIB


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no FIFOs")
def test_opening_a_fifo_does_not_wait(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.msg")
    with pytest.raises(ParameterFileError, match="not a regular file; expected a parameter file"):
        open_parameters(tmp_path / "fifo.msg")


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="this system has no /dev/zero")
def test_a_device_is_no_parameter_file() -> None:
    with pytest.raises(ParameterFileError, match="not a regular file"):
        open_parameters("/dev/zero")


def test_a_folder_or_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ParameterFileError, match="is a folder"):
        open_parameters(tmp_path)
    with pytest.raises(ParameterFileError, match=r"none\.msg: no such parameter file"):
        open_parameters(tmp_path / "none.msg")
    with pytest.raises(ParameterFileError, match="cannot be opened"):
        open_parameters(tmp_path / "nul\0.msg")
