"""Files in the safetensors format: types, names, and headers that claim what is not there."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnnrt import Net, convert
from cnnrt.errors import ImportFailure
from cnnrt_import_pytorch.conformance import TOPOLOGY, state_dict, write_safetensors
from cnnrt_import_pytorch.safetensors_importer import SafetensorsImporter
from pytorch_suite.topologies import written

IMPORTER = SafetensorsImporter()


def save(path: Path, header: Any, values: bytes = b"") -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + values)
    return path


def entry(dtype: str, shape: list[int], begin: int, end: int) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def test_files_are_told_by_their_names(tmp_path: Path) -> None:
    assert IMPORTER.recognises([tmp_path / "a.safetensors", tmp_path / "b.SAFETENSORS"])
    assert not IMPORTER.recognises([tmp_path / "a.safetensors", tmp_path / "b.pth"])


@pytest.mark.parametrize(
    ("dtype", "stored", "values"),
    [
        ("F32", np.array([1.5, -2], "<f4").tobytes(), [1.5, -2]),
        ("F64", np.array([1.5, -2], "<f8").tobytes(), [1.5, -2]),
        ("F16", np.array([1.5, -2], "<f2").tobytes(), [1.5, -2]),
        ("BF16", b"\xc0\x3f\x00\xc0", [1.5, -2]),
        ("I64", np.array([3, -2], "<i8").tobytes(), [3, -2]),
        ("U8", b"\x03\xff", [3, 255]),
        ("BOOL", b"\x01\x00", [1, 0]),
    ],
)
def test_types_become_float32(tmp_path: Path, dtype: str, stored: bytes, values: list[float]) -> None:
    path = save(tmp_path / "a.safetensors", {"a.b": entry(dtype, [2, 1], 0, len(stored))}, stored)
    (tensor,) = IMPORTER.read_weights([path]).tensors
    assert tensor.read().dtype == np.float32
    np.testing.assert_array_equal(tensor.read(), np.array(values)[:, None])


def test_with_a_topology_parts_of_a_model_are_a_network(tmp_path: Path) -> None:
    tensors = state_dict()
    half = len(tensors) // 2
    parts = [tmp_path / "1.safetensors", tmp_path / "2.safetensors"]
    write_safetensors(parts[0], dict(list(tensors.items())[:half]))
    write_safetensors(parts[1], dict(list(tensors.items())[half:]))
    converted = convert(parts, tmp_path / "net", topology=written(tmp_path, TOPOLOGY))
    with Net(converted.netfile) as net:
        assert net.compute(np.zeros((1, 3, 8, 8), np.float32)).shape == (1, 5)


def test_a_name_in_two_files_is_refused(tmp_path: Path) -> None:
    for name in ("1.safetensors", "2.safetensors"):
        write_safetensors(tmp_path / name, state_dict())
    with pytest.raises(ImportFailure, match=r"holds the tensor 'conv\.weight', as 1\.safetensors does"):
        IMPORTER.read_weights([tmp_path / "1.safetensors", tmp_path / "2.safetensors"])


@pytest.mark.parametrize(
    ("header", "nbytes", "said"),
    [
        (b"[]", 0, "does not begin with '{'"),
        (b"{" + b"[" * 100_000, 0, "is no JSON"),
        (b'{"a": 1, "a": 2}', 0, "a name comes twice"),
        (b'{"a": NaN}', 0, "NaN is no number"),
        ({"a": 1}, 0, 'tensor "a" is not described'),
        ({"a": entry("F8_E4M3", [4], 0, 4)}, 4, 'values of the type "F8_E4M3"'),
        ({"a": entry("F32", [2**40, 2**40], 0, 4)}, 4, "has 4 bytes"),
        ({"a": entry("F32", [-1], 0, 4)}, 4, "no lists of sizes"),
        ({"a": entry("F32", [1], 4, 0)}, 4, "has -4 bytes"),
        ({"a": entry("F32", [1], 0, 4)}, 3, "3 bytes of values"),
        ({"a": entry("F32", [1], 0, 4)}, 8, "8 bytes of values"),
        ({"a": entry("F32", [1], 0, 4), "b": entry("F32", [1], 0, 4)}, 4, 'tensor "b" overlaps'),
        ({"a": entry("F32", [1], 4, 8)}, 8, "leaves a gap of 4 bytes"),
    ],
)
def test_headers_that_do_not_fit_their_file(tmp_path: Path, header: Any, nbytes: int, said: str) -> None:
    path = save(tmp_path / "a.safetensors", header, bytes(nbytes))
    with pytest.raises(ImportFailure) as caught:
        IMPORTER.read_weights([path])
    assert said in str(caught.value)


def test_a_header_longer_than_the_file_allocates_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(struct.pack("<Q", 2**63) + b"{}")
    with pytest.raises(ImportFailure, match="a header of 9,223,372,036,854,775,808 bytes in a file of 10"):
        IMPORTER.read_weights([path])


def test_everything_wrong_in_a_header_is_listed(tmp_path: Path) -> None:
    header = {"a": 1, "b": entry("F8", [1], 0, 1), "c": entry("F32", [1], 0, 1)}
    with pytest.raises(ImportFailure) as caught:
        IMPORTER.read_weights([save(tmp_path / "a.safetensors", header)])
    assert len(caught.value.problems) == 3
