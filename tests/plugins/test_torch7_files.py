"""Files of Torch7: encodings, tensors as views of storages, functions that nobody runs, and files that mean harm."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnrt.errors import ImportFailure
from cnnrt.plugins import plugin_host
from cnnrt_import_torch7.conformance import Torch7Suite, Written, ascii_text, binary, branches_of_modules, nn
from cnnrt_import_torch7.importer import Torch7Importer
from cnnrt_import_torch7.object_reader import read_file
from cnnrt_import_torch7.objects import Storage, Table, Tensor, TorchObject


class TestConformance(Torch7Suite):
    """The suite that every importer has to pass."""


ENCODINGS = {"binary": binary, "ascii": ascii_text, "32 bits": lambda value: binary(value, long_size=4)}


def plain(found: Any) -> Any:
    """Return what was read as it was written."""
    if isinstance(found, Table):
        items = found.sequence
        return [plain(i) for i in items] if len(items) == len(found.plain) and items else entries(found)
    if isinstance(found, Tensor):
        return found.array().tolist()
    return found


def entries(table: Table) -> dict[Any, Any]:
    return {key: plain(value) for key, value in table.plain.items()}


def read(folder: Path, data: bytes) -> Any:
    (folder / "x.t7").write_bytes(data)
    return read_file(folder / "x.t7")


def refusal(folder: Path, data: bytes) -> str:
    with pytest.raises(ImportFailure) as caught:
        read(folder, data)
    return str(caught.value)


VALUES = st.recursive(
    st.booleans() | st.floats(allow_nan=False) | st.text(st.characters(codec="utf-8"), max_size=20),
    lambda inner: (
        st.lists(inner, min_size=1, max_size=4) | st.dictionaries(st.text("abc", min_size=1), inner, max_size=4)
    ),
    max_leaves=15,
)


@pytest.mark.parametrize("encoding", ["binary", "ascii"])
def test_values_come_back_from_both_encodings(tmp_path_factory: pytest.TempPathFactory, encoding: str) -> None:
    folder = tmp_path_factory.mktemp("values")

    @settings(max_examples=60)
    @given(VALUES)
    def check(value: Any) -> None:
        # A table comes first in all files of models: by it the encodings are told apart.
        assert plain(read(folder, ENCODINGS[encoding]({"value": value}))) == {"value": value}

    check()


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("dtype", ["f4", "f8", "i8", "i4", "i2", "i1", "u1"])
def test_tensors_of_all_types_come_back(tmp_path: Path, encoding: str, dtype: str) -> None:
    array = np.arange(6, dtype=dtype).reshape(2, 3)
    found = read(tmp_path, ENCODINGS[encoding]([array])).sequence[0]
    assert isinstance(found, Tensor)
    np.testing.assert_array_equal(found.array(), array)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_tensor_may_be_any_view_of_its_storage(tmp_path: Path, encoding: str) -> None:
    whole = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
    for view in (whole[1:, ::2, 1:3], whole.transpose(2, 0, 1), whole[0, :, 0]):
        found = read(tmp_path, ENCODINGS[encoding]([view])).sequence[0]
        np.testing.assert_array_equal(found.array(), view)


def test_what_is_held_in_two_places_is_one(tmp_path: Path) -> None:
    shared: dict[Any, Any] = {"a": 1.0}
    shared["itself"] = shared
    one, two = read(tmp_path, binary([shared, shared])).sequence
    assert one is two
    assert one.get("itself") is one


@pytest.mark.parametrize("type", ["torch.CudaTensor", "torch.CudaDoubleTensor", "torch.CudaHalfTensor"])
def test_tensors_of_graphics_cards_are_read(tmp_path: Path, type: str) -> None:
    kind = {"torch.CudaTensor": "<f4", "torch.CudaDoubleTensor": "<f8", "torch.CudaHalfTensor": "<f2"}[type]
    values = np.array([1.5, -2], kind)
    storage = type.replace("Tensor", "Storage").encode()
    data = struct.pack("<iii", 4, 1, 3) + b"V 1" + struct.pack("<i", len(type)) + type.encode()
    data += struct.pack("<iqqq", 1, 2, 1, 1) + struct.pack("<iii", 4, 2, 3) + b"V 1"
    data += struct.pack("<i", len(storage)) + storage + struct.pack("<q", 2) + values.tobytes()
    np.testing.assert_array_equal(read(tmp_path, data).array(), values)


def test_a_class_without_a_version_is_read(tmp_path: Path) -> None:
    """Before versions, the name of the class came first."""
    data = struct.pack("<iii", 4, 1, 7) + b"nn.Tanh" + struct.pack("<iii", 3, 2, 0)
    found = read(tmp_path, data)
    assert isinstance(found, TorchObject)
    assert found.type == "nn.Tanh"


@pytest.mark.parametrize("kind", [6, 7, 8])
def test_functions_and_what_they_hold_are_skipped(tmp_path: Path, kind: int) -> None:
    index = b"" if kind == 6 else struct.pack("<i", 2)
    function = (
        struct.pack("<i", kind) + index + struct.pack("<i", 9) + b"\x1bLuaQ\0\0\0\0" + struct.pack("<iii", 3, 3, 0)
    )
    key = struct.pack("<ii", 2, 1)
    data = struct.pack("<iii", 3, 1, 2) + key + b"f" + function + key + b"a" + struct.pack("<id", 1, 5)
    assert read(tmp_path, data).plain == {"f": "function", "a": 5.0}


def test_objects_are_read_to_any_depth(tmp_path: Path) -> None:
    """Graphs of nngraph nest as deep as they are long."""
    depth = 20_000
    data = b"".join(struct.pack("<iiiid", 3, i, 1, 1, 1) for i in range(1, depth + 1)) + struct.pack("<i", 0)
    found: Any = read(tmp_path, data)
    for _ in range(depth - 1):
        found = found.get(1)
    assert found.get(1) is None


def tensor(shape: tuple[int, ...], strides: tuple[int, ...], offset: int, count: int = 4) -> bytes:
    """A FloatTensor of a storage of `count` values, four of which are there."""
    data = struct.pack("<iii", 4, 1, 3) + b"V 1" + struct.pack("<i", 17) + b"torch.FloatTensor"
    data += struct.pack("<i", len(shape)) + struct.pack(f"<{2 * len(shape) + 1}q", *shape, *strides, offset)
    data += struct.pack("<iii", 4, 2, 3) + b"V 1" + struct.pack("<i", 18) + b"torch.FloatStorage"
    return data + struct.pack("<q", count) + bytes(16)


HOSTILE: Mapping[str, tuple[bytes, str]] = {
    "nothing": (b"", "ends too early"),
    "an unknown type": (struct.pack("<ii", 99, 1), "unknown type 99"),
    "text of 2 GB": (struct.pack("<iii", 3, 1, 1) + struct.pack("<ii", 2, 2**31 - 1), "ends too early"),
    "text of less than nothing": (struct.pack("<iii", 3, 1, 1) + struct.pack("<ii", 2, -1), "ends too early"),
    "a table of 2^31": (struct.pack("<iii", 3, 1, 2**31 - 1), "a table of"),
    "33 dimensions": (tensor((1,) * 33, (1,) * 33, 1), "33 dimensions"),
    "a storage of 2^40": (tensor((2,), (1,), 1, 1 << 40), "more than the file holds"),
    "beyond its storage": (tensor((5,), (1,), 1), "reaches to value 5 of a storage of 4"),
    "before its storage": (tensor((2,), (1,), 0), "reaches to value"),
    "backwards": (tensor((2,), (-1,), 2), "reaches to value"),
    "one value, for ever": (tensor((1 << 30,), (0,), 1), "1,073,741,824 values in a storage of 4"),
    "a size that is none": (tensor((-1,), (1,), 1), "a size that is none"),
    "an unknown tensor": (binary(Written("torch.OddTensor", {})), "unknown type"),
    "ascii of no number": (b"3\n1\n1\n2\n1\na\n1\nxyz\n", "which is no number"),
    "ascii of half a number": (
        b"4\n1\n3\nV 1\n17\ntorch.FloatTensor\n1\n2\n1\n1\n4\n2\n3\nV 1\n18\ntorch.FloatStorage\n2\n1 x\n",
        "no number",
    ),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_what_is_damaged_or_means_harm_is_refused(tmp_path: Path, case: str) -> None:
    data, message = HOSTILE[case]
    assert message in refusal(tmp_path, data)


def test_objects_without_number_are_refused(tmp_path: Path) -> None:
    data = struct.pack("<iii", 3, 1, 500_000) + struct.pack("<id", 1, 1) * 600_000
    assert "more than 500,000 objects" in refusal(tmp_path, data)


def test_a_storage_in_place_of_a_network_is_none(tmp_path: Path) -> None:
    found = read(tmp_path, binary([np.ones(2, np.float32)]))
    assert isinstance(found.sequence[0].storage, Storage)
    (tmp_path / "x.t7").write_bytes(binary({"mean": "a", "epoch": 3}))
    with pytest.raises(ImportFailure, match=r'holds no network[\s\S]*it is a table with "mean", "epoch"'):
        Torch7Importer().read([tmp_path / "x.t7"])


@pytest.mark.parametrize(
    ("name", "content", "answer"),
    [
        ("x.t7", binary([1]), True),
        ("x.net", ascii_text(branches_of_modules()), True),
        ("X.NN", binary(nn("ReLU")), True),
        ("x.t7", binary(1), False),
        ("x.t7", b"", False),
        ("x.pth", binary(nn("ReLU")), False),
        ("x.dat", b"\x93NUMPY\1\0", False),
    ],
)
def test_files_are_recognised_by_name_and_content(tmp_path: Path, name: str, content: bytes, answer: bool) -> None:
    (tmp_path / name).write_bytes(content)
    assert Torch7Importer().recognises([tmp_path / name]) is answer


def test_one_network_at_a_time(tmp_path: Path) -> None:
    files = [tmp_path / "a.t7", tmp_path / "b.t7"]
    for file in files:
        file.write_bytes(binary(nn("ReLU")))
    with pytest.raises(ImportFailure, match=r"2 files: a\.t7, b\.t7"):
        Torch7Importer().read(files)


def test_it_comes_in_by_the_plugin_door() -> None:
    assert isinstance(plugin_host().importers()["torch7"], Torch7Importer)
