"""cnnrt's own layout: any tensors come back bit by bit, may be mapped, and any damage is noticed."""

from __future__ import annotations

import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from netfile_spec import ParameterFileError, open_parameters, read_parameters, write_parameters

MAGIC = b"\x89CNNRT\r\n"
DTYPES = ["float32", "float64", "float16", "int8", "uint8", "int32", "int64"]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "conv1.msg"


def two_tensors() -> dict[str, np.ndarray[Any, Any]]:
    random = np.random.default_rng(1)
    return {
        "weight": random.standard_normal((4, 3, 5, 5)).astype(np.float32),
        "bias": random.standard_normal(4).astype(np.float32),
    }


def packed_file(header: Any, data: bytes = b"", version: int = 1) -> bytes:
    """A file with this header (packed, unless it is bytes already), laid out as PARAMETERS.md says."""
    raw = header if isinstance(header, bytes) else msgpack.packb(header)
    front = MAGIC + struct.pack("<II", version, len(raw)) + raw
    return front + b"\0" * (-len(front) % 64) + data


def record(**changes: Any) -> dict[str, Any]:
    """The header's entry for float32[2] of zeros, with some of it changed."""
    plain = {"name": "w", "dtype": "float32", "shape": [2], "offset": 0, "nbytes": 8, "crc32": zlib.crc32(bytes(8))}
    return plain | changes


tensors_of_any_kind = st.dictionaries(
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=20),
    st.sampled_from(DTYPES).flatmap(
        lambda d: hnp.arrays(d, hnp.array_shapes(min_dims=0, max_dims=8, min_side=0, max_side=3))
    ),
    max_size=5,
)


@given(tensors_of_any_kind)
@settings(max_examples=80, deadline=None)
def test_any_tensors_come_back_bit_by_bit(
    tmp_path_factory: pytest.TempPathFactory, tensors: dict[str, np.ndarray[Any, Any]]
) -> None:
    file = tmp_path_factory.mktemp("cnnrt") / "t.msg"
    write_parameters(file, tensors)
    with open_parameters(file) as parameters:
        assert parameters.layout == "cnnrt"
        assert [t.name for t in parameters.tensors] == list(tensors)
        parameters.verify()
        for info, (name, array) in zip(parameters.tensors, tensors.items(), strict=True):
            assert (info.shape, info.dtype, info.nbytes) == (array.shape, array.dtype.name, array.nbytes)
            for read in (parameters.load(name), parameters.map(name)):
                assert (read.dtype, read.shape) == (array.dtype, array.shape)
                assert read.tobytes() == array.tobytes()


def test_special_values_keep_their_bits(file: Path) -> None:
    bits = np.array([0x7FC00001, 0x7F800001, 0xFFC12345, 0x7F800000, 0xFF800000, 1, 0x80000000], np.uint32)
    write_parameters(file, {"w": bits.view(np.float32)})
    np.testing.assert_array_equal(read_parameters(file)["w"].view(np.uint32), bits)


def test_tensors_are_aligned_little_endian_and_in_order(file: Path) -> None:
    tensors = two_tensors()
    write_parameters(file, tensors)
    content = file.read_bytes()
    assert content.startswith(MAGIC + struct.pack("<I", 1))
    (length,) = struct.unpack_from("<I", content, 12)
    records = msgpack.unpackb(content[16 : 16 + length])["tensors"]
    start = -(-(16 + length) // 64) * 64
    for (name, array), entry in zip(tensors.items(), records, strict=True):
        offset = start + entry["offset"]
        assert offset % 64 == 0
        assert entry["name"] == name
        assert content[offset : offset + entry["nbytes"]] == array.astype("<f4").tobytes()
        assert entry["crc32"] == zlib.crc32(array.astype("<f4").tobytes())


def test_a_file_put_together_by_hand_is_read(file: Path) -> None:
    file.write_bytes(
        packed_file({"tensors": [record(crc32=zlib.crc32(struct.pack("<2f", 1.5, -2)))]}, struct.pack("<2f", 1.5, -2))
    )
    np.testing.assert_array_equal(read_parameters(file)["w"], np.array([1.5, -2], np.float32))


def test_the_same_arrays_give_the_same_bytes(tmp_path: Path) -> None:
    plain = two_tensors()
    odd = {name: np.asfortranarray(array.astype(">f4")) for name, array in plain.items()}
    odd["bias"] = np.repeat(plain["bias"], 2)[::2]
    contents = set()
    for index, tensors in enumerate([plain, plain, odd]):
        write_parameters(tmp_path / f"{index}.msg", tensors)
        contents.add((tmp_path / f"{index}.msg").read_bytes())
    assert len(contents) == 1


def test_a_loaded_tensor_belongs_to_the_caller_and_a_mapped_one_to_the_file(file: Path) -> None:
    tensors = two_tensors()
    write_parameters(file, tensors)
    with open_parameters(file) as parameters:
        loaded, mapped = parameters.load("weight"), parameters.map("weight")
        loaded[...] = 0
        np.testing.assert_array_equal(mapped, tensors["weight"])
        with pytest.raises(ValueError, match="read-only"):
            mapped[0] = 0
        assert mapped.ctypes.data % 64 == 0
    np.testing.assert_array_equal(mapped, tensors["weight"])  # outlives the ParameterFile


def test_out_is_filled_and_returned(file: Path) -> None:
    tensors = two_tensors()
    write_parameters(file, tensors)
    out = np.empty((4, 3, 5, 5), np.float32)
    assert open_parameters(file).load("weight", out=out) is out
    np.testing.assert_array_equal(out, tensors["weight"])


def read_only() -> np.ndarray[Any, Any]:
    array = np.empty((4, 3, 5, 5), np.float32)
    array.flags.writeable = False
    return array


@pytest.mark.parametrize(
    "out",
    [
        np.empty((4, 75), np.float32),
        np.empty((4, 3, 5, 5), np.float64),
        np.empty((5, 5, 3, 4), np.float32).T,
        read_only(),
    ],
    ids=["shape", "dtype", "order", "read-only"],
)
def test_an_unfit_out_is_refused(file: Path, out: np.ndarray[Any, Any]) -> None:
    write_parameters(file, two_tensors())
    with pytest.raises(ParameterFileError, match=r"needs a writeable, C-contiguous array of shape \[4, 3, 5, 5\]"):
        open_parameters(file).load("weight", out=out)


@pytest.mark.parametrize("wanted", ["weights", "0", 2, -1])
def test_an_unknown_tensor_is_named_with_those_there_are(file: Path, wanted: int | str) -> None:
    write_parameters(file, two_tensors())
    with pytest.raises(ParameterFileError, match=f"no tensor {wanted!r}; the file holds 'weight', 'bias'"):
        open_parameters(file).load(wanted)


def test_a_closed_file_says_so(file: Path) -> None:
    write_parameters(file, two_tensors())
    with open_parameters(file) as parameters:
        pass
    for use in (parameters.verify, lambda: parameters.load(0), lambda: parameters.map(0)):
        with pytest.raises(ParameterFileError, match="closed"):
            use()


def test_a_file_that_was_replaced_meanwhile_is_noticed(file: Path) -> None:
    write_parameters(file, two_tensors())
    parameters = open_parameters(file)
    write_parameters(file, {"weight": np.zeros((4, 3, 5, 5), np.float32)})
    with pytest.raises(ParameterFileError, match="changed or replaced"):
        parameters.load("weight")


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts descriptors in /proc")
def test_no_descriptor_stays_open(file: Path) -> None:
    write_parameters(file, two_tensors())
    before = len(list(Path("/proc/self/fd").iterdir()))
    opened = [open_parameters(file) for _ in range(20)]
    loaded = [parameters.load(0) for parameters in opened]
    assert len(loaded) == 20
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    if sys.version_info >= (3, 13):
        mapped = [parameters.map(0) for parameters in opened]
        assert len(mapped) == 20
        assert len(list(Path("/proc/self/fd").iterdir())) == before


# Damage.


@pytest.mark.parametrize("name", ["weight", "bias"])
def test_a_damaged_tensor_is_refused_by_its_checksum(file: Path, name: str) -> None:
    write_parameters(file, two_tensors())
    content = bytearray(file.read_bytes())
    content[content.index(two_tensors()[name].tobytes()) + 5] ^= 1
    file.write_bytes(content)
    parameters = open_parameters(file)
    with pytest.raises(ParameterFileError, match=f"'{name}' is damaged: its checksum"):
        parameters.load(name)
    with pytest.raises(ParameterFileError, match=f"'{name}' is damaged"):
        parameters.verify()
    assert not np.array_equal(parameters.load(name, verify=False), two_tensors()[name])


def test_a_file_cut_short_anywhere_is_refused(file: Path) -> None:
    write_parameters(file, two_tensors())
    content = file.read_bytes()
    for length in range(len(content)):
        file.write_bytes(content[:length])
        with pytest.raises(ParameterFileError, match=str(file)):
            open_parameters(file).verify()


BIG = 1 << 40
HEADERS: dict[str, tuple[bytes, str]] = {
    "magic alone": (MAGIC, "truncated: 8 bytes"),
    "line ends converted": (MAGIC.replace(b"\r\n", b"\n") + bytes(64), "line ends were converted"),
    "newer version": (packed_file({"tensors": []}, version=2), "version is 2; known: 1"),
    "version 0": (packed_file({"tensors": []}, version=0), "version is 0; known: 1"),
    "header beyond the file": (MAGIC + struct.pack("<II", 1, 1000) + bytes(48), "header of 1000 bytes in a file of 64"),
    "header beyond reason": (MAGIC + struct.pack("<II", 1, 2**32 - 1) + bytes(48), "at most 1048576 are allowed"),
    "header empty": (packed_file(b""), "not the MessagePack it should be"),
    "header cut": (packed_file(b"\x81\xa7tensors"), "not the MessagePack it should be"),
    "header with an unused byte": (packed_file(b"\xc1"), "not the MessagePack it should be"),
    "header with bytes after it": (packed_file(msgpack.packb({"tensors": []}) + b"\0"), "inside its stated length"),
    "header with bad UTF-8": (packed_file(b"\x81\xa7tensor\xff\x90"), "utf-8"),
    "header with a number as key": (packed_file(b"\x81\x01\x90"), "not the MessagePack it should be"),
    "header with a key twice": (packed_file(b"\x82\xa7tensors\x90\xa7tensors\x90"), "a key twice"),
    "header with an extension": (packed_file(b"\x81\xa7tensors\xd4\x05a"), "max_ext_len"),
    "header with binary": (packed_file(b"\x81\xa7tensors\xc4\x01a"), "max_bin_len"),
    "header nested": (packed_file(b"\x91" * 100_000), "not the MessagePack it should be"),
    "header a list": (packed_file([]), "a map with one key, 'tensors'"),
    "header with more keys": (packed_file({"tensors": [], "x": 1}), "a map with one key, 'tensors'"),
    "tensors a number": (packed_file({"tensors": 3}), "a map with one key, 'tensors'"),
    "tensor a number": (
        packed_file({"tensors": [3]}),
        "tensor 0 of the header should be a map with the keys name, dtype",
    ),
    "tensor without a key": (packed_file({"tensors": [{"name": "w"}]}), "should be a map with the keys name, dtype"),
    "too many tensors": (packed_file({"tensors": [0] * 5000}), "5000 exceeds max_array_len"),
    "too long a name": (packed_file({"tensors": [record(name="w" * 2000)]}), "2000 exceeds max_str_len"),
    "bytes at the end": (packed_file({"tensors": [record()]}, bytes(9)), "1 bytes after the last tensor"),
    "a name twice": (packed_file({"tensors": [record(), record(offset=64)]}, bytes(72)), "'w' is there twice"),
    "overlap": (packed_file({"tensors": [record(), record(name="v")]}, bytes(72)), "'v' overlaps tensor 'w'"),
    "beyond the file": (packed_file({"tensors": [record(offset=64)]}, bytes(71)), "truncated: tensor 'w' ends at byte"),
    "not aligned": (packed_file({"tensors": [record(offset=4)]}, bytes(12)), "multiple of 64"),
    "huge": (packed_file({"tensors": [record(shape=[BIG // 2**12, 2**10], nbytes=BIG)]}, bytes(8)), "truncated"),
}
RECORDS: dict[str, tuple[dict[str, Any], str]] = {
    "name empty": ({"name": ""}, "needs a name"),
    "name a number": ({"name": 3}, "needs a name"),
    "dtype unknown": ({"dtype": "object"}, "dtype 'object'; expected one of float32"),
    "dtype a list": ({"dtype": ["float32"]}, "expected one of float32"),
    "shape a number": ({"shape": 2}, "expected at most 8 whole numbers"),
    "shape negative": ({"shape": [-1, -2]}, "expected at most 8 whole numbers"),
    "shape of floats": ({"shape": [2.0]}, "expected at most 8 whole numbers"),
    "shape of booleans": ({"shape": [True, 2]}, "expected at most 8 whole numbers"),
    "too many dimensions": ({"shape": [1] * 8 + [2]}, "expected at most 8 whole numbers"),
    "too large a dimension": ({"shape": [0, 2**31], "nbytes": 0}, "from 0 to 2147483647"),
    "dimensions that overflow": ({"shape": [2**31 - 1] * 8}, "the header says 8"),
    "an empty shape no array has": ({"shape": [0, 2**31 - 1, 2**31 - 1, 2**31 - 1], "nbytes": 0}, "no array can have"),
    "offset negative": ({"offset": -64}, "offset should be a whole number"),
    "nbytes a string": ({"nbytes": "8"}, "nbytes should be a whole number"),
    "nbytes wrong": ({"nbytes": 12}, "takes 8 bytes; the header says 12"),
    "crc32 nil": ({"crc32": None}, "crc32 should be a whole number"),
}
RECORD_FILES = {
    name: (packed_file({"tensors": [record(**c)]}, bytes(8)), message) for name, (c, message) in RECORDS.items()
}


@pytest.mark.parametrize(("content", "message"), (HEADERS | RECORD_FILES).values(), ids=(HEADERS | RECORD_FILES).keys())
def test_a_malformed_header_is_refused(file: Path, content: bytes, message: str) -> None:
    file.write_bytes(content)
    with pytest.raises(ParameterFileError, match=message) as caught:
        open_parameters(file)
    assert str(file) in str(caught.value)


@given(st.binary(max_size=300))
@settings(max_examples=150, deadline=None)
def test_any_header_is_tensors_or_an_error(tmp_path_factory: pytest.TempPathFactory, header: bytes) -> None:
    file = tmp_path_factory.mktemp("header") / "t.msg"
    file.write_bytes(packed_file(header, bytes(8)))
    with pytest.raises(ParameterFileError):
        open_parameters(file)


# What the layout cannot hold.


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"": np.zeros(1)}, "expected 1 to 1024 bytes"),
        ({"n" * 1025: np.zeros(1)}, "expected 1 to 1024 bytes"),
        ({"\ud800": np.zeros(1)}, "not valid Unicode"),
        ({1: np.zeros(1)}, "name 1 is no string"),
        ({"w": [1.0, 2.0]}, "'w' is a list; expected a NumPy array"),
        ({"w": np.zeros(1, bool)}, "'w': dtype bool; expected one of float32"),
        ({"w": np.zeros(1, complex)}, "dtype complex128"),
        ({"w": np.array([object()])}, "dtype object"),
        ({"w": np.zeros((1,) * 9)}, "at most 8 dimensions"),
        ({str(i): np.zeros(1, np.int8) for i in range(4097)}, "at most 4096"),
    ],
)
def test_what_the_layout_cannot_hold_is_refused(file: Path, tensors: dict[Any, Any], message: str) -> None:
    with pytest.raises(ParameterFileError, match=message):
        write_parameters(file, tensors)
    assert list(file.parent.iterdir()) == []


def test_an_unknown_layout_is_named(file: Path) -> None:
    with pytest.raises(ParameterFileError, match="unknown layout 'hdf5'; expected 'cnnrt' or 'cnndroid'"):
        write_parameters(file, two_tensors(), layout="hdf5")  # type: ignore[arg-type]  # the mistake under test


def save_npy(file: Path) -> None:
    with file.open("wb") as stream:
        np.save(stream, np.zeros(3))


def save_npz(file: Path) -> None:
    with file.open("wb") as stream:
        np.savez(stream, w=np.zeros(3))


@pytest.mark.parametrize(("save", "kind"), [(save_npy, "NumPy .npy file"), (save_npz, "zip archive")])
def test_other_formats_are_named(file: Path, save: Callable[[Path], None], kind: str) -> None:
    save(file)
    with pytest.raises(ParameterFileError, match=f"is a {kind}"):
        open_parameters(file)
