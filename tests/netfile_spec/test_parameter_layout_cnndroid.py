"""CNNdroid's layout: what its scripts wrote is read exactly, and what is written is what its scripts wrote."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from netfile_spec import ParameterFileError, open_parameters, read_parameters, write_parameters

# One number, a row of one, 1x1 kernels, all three sizes of list headers, more than one block of every nesting.
SHAPES = [
    (1,),
    (15,),
    (16,),
    (65535,),
    (65536,),
    (3, 4, 5, 5),
    (64, 32, 1, 1),
    (10, 1, 1, 1),
    (96, 3, 11, 11),
    (30, 20, 7),
    (70000, 3),
    (3, 70000),
    (2, 3, 60000),
    (1, 2, 1, 2, 1, 2, 1, 2),
]


def packed(array: Any) -> bytes:
    """The bytes that CNNdroid's scripts write for an array."""
    listed = array.tolist() if isinstance(array, np.ndarray) else array
    return bytes(msgpack.packb(listed, use_single_float=True))


def some_floats(shape: tuple[int, ...], seed: int = 1) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def same_bits(left: np.ndarray[Any, Any], right: np.ndarray[Any, Any]) -> bool:
    return left.shape == right.shape and left.tobytes() == right.tobytes()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "model_param_conv1.msg"


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_what_cnndroids_scripts_wrote_is_read_exactly(file: Path, shape: tuple[int, ...]) -> None:
    weight, bias = some_floats(shape), some_floats(shape[:1], seed=2)
    file.write_bytes(packed(weight) + packed(bias))
    with open_parameters(file) as parameters:
        assert parameters.layout == "cnndroid"
        assert [(t.name, t.shape, t.dtype, t.nbytes) for t in parameters.tensors] == [
            ("0", shape, "float32", weight.nbytes),
            ("1", shape[:1], "float32", bias.nbytes),
        ]
        parameters.verify()
        assert same_bits(parameters.load(0), weight)
        assert same_bits(parameters.load("1"), bias)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_what_is_written_is_what_cnndroids_scripts_wrote(file: Path, shape: tuple[int, ...]) -> None:
    weight, bias = some_floats(shape), some_floats(shape[:1], seed=2)
    write_parameters(file, {"weight": weight, "bias": bias}, layout="cnndroid", flat=False)
    assert file.read_bytes() == packed(weight) + packed(bias)


def test_fully_connected_weights_are_written_as_one_flat_list(file: Path) -> None:
    weight, bias = some_floats((5, 7)), some_floats((5,))
    write_parameters(file, {"weight": weight, "bias": bias}, layout="cnndroid")
    assert file.read_bytes() == packed(weight.reshape(-1)) + packed(bias)
    assert open_parameters(file).tensors[0].shape == (35,)


def test_labels_are_one_nested_object(file: Path) -> None:
    labels = np.arange(16).reshape(16, 1, 1, 1)
    write_parameters(file, {"labels": labels}, layout="cnndroid")
    assert file.read_bytes() == packed(labels.astype(np.float32))
    assert same_bits(read_parameters(file)["0"], labels.astype(np.float32))


@given(
    weight=hnp.arrays(
        np.float32,
        hnp.array_shapes(max_dims=8, max_side=5),
        elements=st.floats(width=32, allow_nan=True, allow_infinity=True, allow_subnormal=True),
    )
)
@settings(max_examples=60, deadline=None)
def test_any_float32_array_comes_back_bit_by_bit(
    tmp_path_factory: pytest.TempPathFactory, weight: np.ndarray[Any, Any]
) -> None:
    file = tmp_path_factory.mktemp("cnndroid") / "w.msg"
    write_parameters(file, {"weight": weight}, layout="cnndroid", flat=False)
    (info,) = open_parameters(file).tensors
    assert info.shape == weight.shape
    assert same_bits(read_parameters(file)["0"], weight)


def test_an_array_that_is_no_block_of_memory_is_written_as_it_reads(file: Path) -> None:
    weight = some_floats((6, 5, 4, 3)).transpose(3, 1, 2, 0)[:, ::2]
    write_parameters(file, {"weight": weight}, layout="cnndroid")
    assert same_bits(read_parameters(file)["0"], np.ascontiguousarray(weight))


def test_a_loaded_tensor_belongs_to_the_caller(file: Path) -> None:
    weight = some_floats((3, 4))
    write_parameters(file, {"weight": weight}, layout="cnndroid", flat=False)
    parameters = open_parameters(file)
    first = parameters.load(0)
    assert first.flags.writeable
    assert first.flags.c_contiguous
    first[...] = 0
    assert same_bits(parameters.load(0), weight)


def test_out_is_filled_and_returned(file: Path) -> None:
    weight = some_floats((3, 4))
    write_parameters(file, {"weight": weight}, layout="cnndroid")
    memory = np.zeros((3, 4), np.float32)
    filled = open_parameters(file).load(0, out=memory.reshape(-1))
    assert np.shares_memory(filled, memory)
    assert same_bits(memory, weight)


# Other writers: float64, whole numbers as integers (lua-MessagePack), headers longer than they need to be.


def integers_where_whole(array: Any) -> Any:
    """Nested lists as lua-MessagePack writes them: a whole number is an integer, whatever it was computed as."""
    if isinstance(array, list):
        return [integers_where_whole(entry) for entry in array]
    return int(array) if float(array).is_integer() else array


@pytest.mark.parametrize("place", [0, 1, 2000, 6553, 6554, 19999])
@pytest.mark.parametrize("odd", [3, 2**40, -200])
def test_one_integer_among_many_floats_is_read_in_its_place(file: Path, place: int, odd: int) -> None:
    numbers = some_floats((20000,)).tolist()
    numbers[place] = odd
    file.write_bytes(msgpack.packb(numbers, use_single_float=True) + packed([0.5]))
    parameters = read_parameters(file)
    np.testing.assert_array_equal(parameters["0"], np.array(numbers, np.float32))
    np.testing.assert_array_equal(parameters["1"], np.array([0.5], np.float32))


@pytest.mark.parametrize("shape", [(1,), (40000,), (8, 3, 5, 5), (64, 300, 1, 1)], ids=str)
@pytest.mark.parametrize("single", [True, False], ids=["float32", "float64"])
def test_whole_numbers_may_be_integers(file: Path, shape: tuple[int, ...], single: bool) -> None:
    weight = some_floats(shape)
    whole = np.random.default_rng(3).random(shape) < 0.3
    weight[whole] = np.round(weight[whole] * 1e5)
    lists = integers_where_whole(weight.tolist())
    file.write_bytes(msgpack.packb(lists, use_single_float=single) + packed([0] * shape[0]))
    parameters = open_parameters(file)
    parameters.verify()
    assert parameters.tensors[0].shape == shape
    np.testing.assert_array_equal(parameters.load(0), weight)
    np.testing.assert_array_equal(parameters.load(1), np.zeros(shape[0], np.float32))


def test_float64_is_rounded_to_float32(file: Path) -> None:
    weight = np.random.default_rng(5).standard_normal((9, 3, 3))
    file.write_bytes(msgpack.packb(weight.tolist()))
    assert same_bits(read_parameters(file)["0"], weight.astype(np.float32))


def test_every_integer_encoding_is_read(file: Path) -> None:
    numbers: list[float] = [
        0,
        127,
        128,
        255,
        256,
        65535,
        65536,
        2**32 - 1,
        2**32,
        2**63,
        -1,
        -32,
        -33,
        -128,
        -129,
        -(2**15),
    ]
    numbers += [-(2**15) - 1, -(2**31), -(2**31) - 1, -(2**63), 0.5]
    markers = {msgpack.packb(number)[0] for number in numbers}
    assert {0xCC, 0xCD, 0xCE, 0xCF, 0xD0, 0xD1, 0xD2, 0xD3} <= markers
    file.write_bytes(msgpack.packb(numbers))
    np.testing.assert_array_equal(read_parameters(file)["0"], np.array(numbers, np.float32))


def test_list_headers_may_be_longer_than_needed(file: Path) -> None:
    one = struct.pack(">Bf", 0xCA, 1.5)
    file.write_bytes(b"\xdd\0\0\0\x02" + 2 * (b"\xdc\0\x03" + 3 * one) + b"\xdc\0\x01" + one)
    parameters = read_parameters(file)
    np.testing.assert_array_equal(parameters["0"], np.full((2, 3), 1.5, np.float32))
    np.testing.assert_array_equal(parameters["1"], np.full(1, 1.5, np.float32))


def test_numbers_that_only_look_alike_at_first_are_read_all_the_same(file: Path) -> None:
    # One of 9 bytes and one of 1 take together what two of 5 take: the file's length betrays nothing.
    numbers = [struct.pack(">Bf", 0xCA, 0.5), struct.pack(">Bd", 0xCB, 0.1), b"\x07", struct.pack(">Bf", 0xCA, -2.5)]
    file.write_bytes(b"\x94" + b"".join(numbers) + packed([0.25]))
    parameters = open_parameters(file)
    for _ in range(2):
        np.testing.assert_array_equal(parameters.load(0), np.array([0.5, 0.1, 7, -2.5], np.float32))
    np.testing.assert_array_equal(parameters.load(1), np.array([0.25], np.float32))
    parameters.verify()


def test_a_mixture_that_was_mistaken_for_another_shape_is_refused(file: Path) -> None:
    # Read as three float32, the weights end inside their third number, whose last bytes form a list of their own.
    weights = struct.pack(">BBfBd", 0x93, 0xCA, 0.5, 0xCB, 0.1) + b"\xca\x93\x01\x02\xca"
    file.write_bytes(weights + b"\x92\xcc\x05\x01")
    parameters = open_parameters(file)
    with pytest.raises(ParameterFileError, match="mistaken for another shape; write the file again"):
        parameters.load(0)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_any_mixture_of_encodings_is_read(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    shape = data.draw(hnp.array_shapes(max_dims=4, max_side=6))
    number = st.one_of(st.integers(-(2**63), 2**64 - 1), st.floats(width=32, allow_nan=False), st.integers(-40, 200))
    numbers = data.draw(st.lists(number, min_size=int(np.prod(shape)), max_size=int(np.prod(shape))))
    lists = np.array([*numbers, None], dtype=object)[:-1].reshape(shape).tolist()
    file = tmp_path_factory.mktemp("mixed") / "w.msg"
    file.write_bytes(msgpack.packb(lists, use_single_float=data.draw(st.booleans())))
    expected = np.array([float(n) for n in numbers]).astype(np.float32).reshape(shape)
    np.testing.assert_array_equal(read_parameters(file)["0"], expected)


def test_empty_lists_are_empty_tensors(file: Path) -> None:
    file.write_bytes(packed([[], []]) + packed([]))
    assert {name: array.shape for name, array in read_parameters(file).items()} == {"0": (2, 0), "1": (0,)}
    write_parameters(file, {"weight": np.zeros((2, 0)), "bias": np.zeros(0)}, layout="cnndroid", flat=False)
    assert file.read_bytes() == b"\x92\x90\x90" + b"\x90"


# Files that are no such thing: each is refused with the byte at which it goes wrong.

ONE = struct.pack(">Bf", 0xCA, 1.0)
MALFORMED = {
    "empty": (b"", "the file is empty"),
    "a number": (ONE, "byte 0: a number outside any list"),
    "a string": (b"\xa3abc", "byte 0: a string; expected a list of numbers"),
    "a map": (b"\x81\x01\x02", "byte 0: a map"),
    "nil inside": (b"\x92" + ONE + b"\xc0", "byte 6: nil; expected a number"),
    "a boolean inside": (b"\x92\xc3" + ONE, "byte 1: a boolean"),
    "a string inside": (b"\x93" + ONE + b"\xa1x" + ONE, "byte 6: a string"),
    "a map inside": (b"\x92" + ONE + b"\x80", "byte 6: a map"),
    "binary inside": (b"\x92" + ONE + b"\xc4\x00", "byte 6: binary data"),
    "an extension inside": (b"\x92" + ONE + b"\xd4\x00\x00", "byte 6: an extension type"),
    "the unused marker": (b"\x92" + ONE + b"\xc1", "byte 6: a byte that MessagePack never uses"),
    "ragged, too short": (
        packed([[1.5, 2.5], [1.5]]) + packed([0.5]),
        "byte 12: .*ragged: a list of 1; expected a list of 2",
    ),
    "ragged, too long": (packed([[1.5], [1.5, 2.5]]), "byte 7: .*ragged: a list of 2; expected a list of 1"),
    "a number for a list": (packed([[1.5], 2.5]), "byte 7: .*ragged: a number; expected a list of 1"),
    "a list for a number": (packed([1.5, [2.5]]), "byte 6: .*ragged: a list of 1; expected a number"),
    "truncated in a number": (packed([1.5, 2.5])[:-1], "byte 6: the file ends inside a number"),
    "truncated between numbers": (packed([1.5, 2.5])[:-5], "byte 6: the file ends here; 1 more"),
    "truncated in a header": (b"\xdc\x00", "byte 0: the file ends inside a list"),
    "truncated after a header": (b"\x91", "byte 1: the file ends where"),
    "biases cut off": (packed([1.5]) + b"\x92" + ONE, "byte 12: the file ends here; 1 more"),
    "bytes at the end": (packed([1.5]) + packed([0.5]) + b"\x00", "byte 12: 1 bytes after the second list"),
    "a third list": (3 * packed([1.5]), "byte 12: 6 bytes after the second list"),
    "a number at the end": (packed([1.5]) + b"\x00", "byte 6: a number outside any list"),
    "too deep": (b"\x91" * 9 + ONE, "byte 8: lists nested more than 8 deep"),
    "very deep": (b"\x91" * 100_000, "byte 8: lists nested more than 8 deep"),
    "more numbers than bytes": (b"\xdd\xff\xff\xff\xff" + ONE, "at least 4294967296 bytes; only 10 follow"),
    "more lists than bytes": (b"\xdd\x00\x01\x00\x00\x90", "at least 65537 bytes; only 6 follow"),
    "too large for float32": (b"\x91" + struct.pack(">Bd", 0xCB, 1e39), "byte 1: 1e\\+39 is too large for a float32"),
}


@pytest.mark.parametrize(("content", "message"), MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_file_is_refused_at_its_place(file: Path, content: bytes, message: str) -> None:
    file.write_bytes(content)
    with pytest.raises(ParameterFileError, match=message) as caught:
        read_parameters(file)
    assert str(file) in str(caught.value)


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_a_tensor_or_an_error(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    file = tmp_path_factory.mktemp("bytes") / "w.msg"
    file.write_bytes(content)
    try:
        loaded = read_parameters(file)
    except ParameterFileError:
        return
    assert all(array.dtype == np.float32 for array in loaded.values())


@given(position=st.integers(0, 10**6), value=st.integers(0, 255))
@settings(max_examples=200, deadline=None)
def test_a_changed_byte_is_a_changed_number_or_an_error(
    tmp_path_factory: pytest.TempPathFactory, position: int, value: int
) -> None:
    content = bytearray(packed(some_floats((4, 3, 2, 2))) + packed(some_floats((4,))))
    content[position % len(content)] = value
    file = tmp_path_factory.mktemp("changed") / "w.msg"
    file.write_bytes(content)
    try:
        loaded = read_parameters(file)
    except ParameterFileError:
        return
    oracle = msgpack.Unpacker(raw=True)
    oracle.feed(bytes(content))
    for array, lists in zip(loaded.values(), oracle, strict=True):
        np.testing.assert_array_equal(array, np.array(lists, np.float64).astype(np.float32))


def test_a_damaged_header_of_a_long_row_is_found(file: Path) -> None:
    content = bytearray(packed(some_floats((3, 70000))))
    place = 1 + (5 + 5 * 70000)
    assert content[place : place + 5] == b"\xdd" + (70000).to_bytes(4, "big")
    content[place + 4] ^= 1
    file.write_bytes(content)
    parameters = open_parameters(file)
    with pytest.raises(ParameterFileError, match=f"byte {place}: .*ragged: a list of 70001; expected a list of 70000"):
        parameters.load(0)


def test_damage_far_into_a_large_file_is_found(file: Path) -> None:
    content = bytearray(packed(some_floats((400, 1000))) + packed(some_floats((400,))))
    place = 3 + 250 * (3 + 5 * 1000) + 3 + 5 * 500
    assert content[place] == 0xCA
    content[place] = 0xC0
    file.write_bytes(content)
    parameters = open_parameters(file)  # the first numbers explain the file
    with pytest.raises(ParameterFileError, match=f"byte {place}: nil"):
        parameters.load(0)
    with pytest.raises(ParameterFileError, match=f"byte {place}: nil"):
        parameters.verify()
    np.testing.assert_array_equal(parameters.load(1), some_floats((400,)))


# What the layout cannot hold.


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({}, "0 tensors"),
        ({"a": np.zeros(1), "b": np.zeros(1), "c": np.zeros(1)}, "3 tensors .*Use the cnnrt layout"),
        ({"bias": np.zeros(1), "weight": np.zeros((1, 1))}, "'bias' before 'weight'"),
        ({"weight": np.array(1.0)}, r"'weight' has shape \[\]"),
        ({"weight": np.zeros((1,) * 9)}, "1 to 8 dimensions"),
        ({"weight": np.array([1.0, 1e39])}, "holds 1e\\+39, which float32 cannot hold"),
        ({"labels": np.array([2**24 + 1])}, "holds 16777217, which float32 cannot hold"),
        ({"weight": np.zeros(1, complex)}, "dtype complex128"),
        ({"weight": np.array(["text"])}, "CNNdroid's layout holds real numbers"),
    ],
)
def test_what_the_layout_cannot_hold_is_refused(file: Path, tensors: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterFileError, match=message):
        write_parameters(file, tensors, layout="cnndroid")
    assert list(file.parent.iterdir()) == []


def test_mapping_says_how_to_convert(file: Path) -> None:
    write_parameters(file, {"weight": np.ones(3, np.float32)}, layout="cnndroid")
    with pytest.raises(ParameterFileError, match='layout="cnnrt"'):
        open_parameters(file).map(0)


@pytest.mark.parametrize("odd", [b"", b"\x01"], ids=["uniform", "mixed"])
@pytest.mark.parametrize("nan", [b"\xca\x7f\xa0\x00\x00", b"\xcb\x7f\xf4" + bytes(6)], ids=["float32", "float64"])
def test_a_nan_that_signals_is_a_nan_and_warns_nobody(file: Path, nan: bytes, odd: bytes) -> None:
    file.write_bytes(bytes([0x90 + 2 + len(odd)]) + nan + nan + odd)
    (values,) = read_parameters(file).values()
    assert np.isnan(values[:2]).all()
