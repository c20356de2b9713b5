"""ONNX files: which are recognised, versions, how constants are stored, and files that mean harm."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from cnnrt import CnnrtError, convert
from cnnrt.errors import ImportFailure
from cnnrt.layer import Array
from cnnrt.plugins import plugin_host
from cnnrt_import_onnx.importer import OnnxImporter
from cnnrt_import_onnx.model_file import read_model
from cnnrt_import_onnx.supported import NEWEST_OPSET, OLDEST_OPSET
from onnx_suite.small_models import computed, expected, make_model, node, problems, read, save, values

W = values(4, 3, 3, 3)
CONV = [node("Conv", ["x", "w"], ["y"])]


def test_it_comes_in_by_the_plugin_door() -> None:
    importer = plugin_host().importers()["onnx"]
    assert isinstance(importer, OnnxImporter)
    assert f"operator sets {OLDEST_OPSET} to {NEWEST_OPSET}" in importer.description


@pytest.mark.parametrize(
    ("names", "answer"),
    [
        (["a.onnx"], True),
        (["A.ONNX"], True),
        (["a.onnx", "b.onnx"], True),
        (["a.pb"], False),
        (["a.onnx", "b.pb"], False),
    ],
)
def test_files_are_recognised_by_their_names(names: list[str], answer: bool) -> None:
    assert OnnxImporter().recognises([Path(name) for name in names]) is answer


def test_it_recognises_nothing_in_no_files() -> None:
    assert not OnnxImporter().recognises([])


def test_one_model_at_a_time(tmp_path: Path) -> None:
    path = save(tmp_path, make_model(CONV, {"w": W}))
    with pytest.raises(ImportFailure, match=r"2 files: model\.onnx, model\.onnx"):
        OnnxImporter().read([path, path])


def test_without_the_package_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path, make_model(CONV, {"w": W}))
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(CnnrtError, match=r"needs the package onnx .*: pip install \"cnnrt\[onnx\]\""):
        convert(path, tmp_path / "net")
    assert not (tmp_path / "net").exists()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "the file is empty"),
        (b"\x89HDF\r\n\x1a\n", "this is an HDF5 file"),
        (b"version https://git-lfs.github.com/spec/v1\n", "this is a Git LFS pointer"),
        (b"PK\x03\x04archive", "this is a zip archive"),
        (b"<!DOCTYPE html>", "this is a web page"),
        (b"\xff" * 100, "not a readable ONNX model"),
        (b"\x08\x08", "it holds no graph"),
    ],
)
def test_other_files_are_told_apart(tmp_path: Path, content: bytes, complaint: str) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(ImportFailure) as caught:
        OnnxImporter().read([path])
    assert complaint in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_an_error_of_the_user(tmp_path: Path) -> None:
    with pytest.raises(ImportFailure, match="cannot be read: No such file"):
        OnnxImporter().read([tmp_path / "model.onnx"])


@pytest.mark.parametrize(
    ("versions", "complaint"),
    [
        ({"opset": 5}, "operator set 5 | 6 to 28 | convert it with onnx.version_converter"),
        ({"opset": 29}, "operator set 29 | 6 to 28 | update cnnrt"),
        ({"ir_version": 2}, "IR version 2 | 3 to 14 | convert it"),
        ({"ir_version": 15}, "IR version 15 | 3 to 14 | update cnnrt"),
    ],
)
def test_versions_that_are_not_known_are_refused(tmp_path: Path, versions: dict[str, int], complaint: str) -> None:
    (problem,) = problems(tmp_path, make_model(CONV, {"w": W}, **versions))
    assert problem.startswith(complaint)


def test_a_model_must_say_which_operators_it_means(tmp_path: Path) -> None:
    model = make_model(CONV, {"w": W})
    model.opset_import[0].domain = "com.microsoft"
    (problem,) = problems(tmp_path, model)
    assert "it does not say which operator set it is written in" in problem


def stored(form: str, array: np.ndarray) -> Any:
    """Return an array as a TensorProto "w": its bytes, or typed values."""
    kind = helper.np_dtype_to_tensor_dtype(array.dtype)
    if form == "raw":
        return numpy_helper.from_array(array, "w")
    return helper.make_tensor("w", kind, array.shape, array.ravel())


@pytest.mark.parametrize("form", ["raw", "typed"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_constants_of_all_floating_point_types(tmp_path: Path, form: str, dtype: type) -> None:
    array = W.astype(dtype)
    imported = read(tmp_path, make_model(CONV, {"w": stored(form, array)}))
    weight = imported.parameters["y"]["weight"]
    assert weight.dtype == np.float32
    assert weight.flags.c_contiguous
    np.testing.assert_array_equal(weight, array.astype(np.float32))


@pytest.mark.parametrize("form", ["raw", "typed"])
def test_constants_of_bfloat16(tmp_path: Path, form: str) -> None:
    array = np.float32([1.5, -2.0, 0.15625, 3e38]).reshape(4, 1, 1, 1)
    bits = (array.view(np.uint32) >> 16).astype(np.uint16)
    tensor = TensorProto(name="w", data_type=TensorProto.BFLOAT16, dims=array.shape)
    if form == "raw":
        tensor.raw_data = bits.tobytes()
    else:
        tensor.int32_data.extend(bits.ravel().tolist())
    model = make_model(CONV, {"w": tensor}, inputs={"x": ["N", 1, 8, 8]})
    weight = read(tmp_path, model).parameters["y"]["weight"]
    np.testing.assert_array_equal(weight, (array.view(np.uint32) >> 16 << 16).view(np.float32))


@pytest.mark.parametrize(
    ("dtype", "form"), [(np.int64, "raw"), (np.int32, "raw"), (np.int64, "typed"), (np.int32, "typed")]
)
def test_shapes_of_both_integer_types(tmp_path: Path, dtype: type, form: str) -> None:
    model = make_model([node("Reshape", ["x", "w"], ["y"])], {"w": stored(form, np.array([0, -1], dtype))})
    assert read(tmp_path, model).netfile.layers[0].type == "Flatten"


def external(location: str, **entries: Any) -> Any:
    """Return the tensor "w" of the shape of W whose values are in another file."""
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=W.shape, data_location=TensorProto.EXTERNAL)
    for key, value in {"location": location, **entries}.items():
        tensor.external_data.add(key=key, value=str(value))
    return tensor


def test_weights_beside_the_model(tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "all.data").write_bytes(b"12345678" + W.tobytes() + b"rest")
    tensor = external("weights/all.data", offset=8, length=W.nbytes, checksum="whatever")
    imported = read(tmp_path, make_model(CONV, {"w": tensor}))
    np.testing.assert_array_equal(imported.parameters["y"]["weight"], W)
    convert(tmp_path / "model.onnx", tmp_path / "net")


def test_the_whole_file_may_be_the_weight(tmp_path: Path) -> None:
    (tmp_path / "w").write_bytes(W.tobytes())
    imported = read(tmp_path, make_model(CONV, {"w": external("w")}))
    np.testing.assert_array_equal(imported.parameters["y"]["weight"], W)


def test_a_file_of_weights_whose_name_is_no_text_is_an_error(tmp_path: Path) -> None:
    """The protobuf library hands over as bytes what is not UTF-8."""
    model = make_model(CONV, {"w": external("name of it")}).SerializeToString()
    (tmp_path / "model.onnx").write_bytes(model.replace(b"name of it", b"name \xff\xfe it"))
    with pytest.raises(ImportFailure, match="no file 'name"):
        OnnxImporter().read([tmp_path / "model.onnx"])


@pytest.mark.parametrize(
    ("location", "entries", "complaint"),
    [
        ("../secret", {}, 'leads upwards ("..")'),
        ("/etc/passwd", {}, "is absolute"),
        ("link", {}, "a link that leads out of this folder"),
        ("missing", {}, "no file 'missing'"),
        ("", {}, "is empty"),
        ("short", {}, '432 bytes of values from byte 0 of "short", which has 16 bytes'),
        ("enough", {"offset": 1}, "432 bytes of values from byte 1"),
        ("enough", {"offset": -1}, 'external values with offset "-1"'),
        ("enough", {"offset": "9" * 400}, "external values with offset"),
        ("enough", {"offset": "²"}, "external values with offset"),
        ("enough", {"length": 400}, "a length of 400 bytes for 108 values"),
        (".", {}, "is a folder"),
    ],
)
def test_external_weights_stay_inside_the_folder_and_their_file(
    tmp_path: Path, location: str, entries: dict[str, Any], complaint: str
) -> None:
    (tmp_path / "secret").write_bytes(W.tobytes())
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "short").write_bytes(bytes(16))
    (folder / "enough").write_bytes(W.tobytes())
    (problem,) = problems(folder, make_model(CONV, {"w": external(location, **entries)}))
    assert problem.startswith('the constant "w" cannot be read: ')
    assert complaint in problem


def tensor_of(**fields: Any) -> Any:
    return TensorProto(**{"name": "w", "data_type": TensorProto.FLOAT, "dims": (4, 3, 3, 3), **fields})


@pytest.mark.parametrize(
    ("tensor", "complaint"),
    [
        (tensor_of(), "a shape of 4×3×3×3 with 0 values"),
        (tensor_of(raw_data=bytes(8)), "8 bytes for 108 values of type FLOAT"),
        (tensor_of(float_data=[1.0] * 109), "a shape of 4×3×3×3 with 109 values"),
        (tensor_of(dims=(-4, 3, 3, 3), raw_data=bytes(8)), "a shape of -4×3×3×3"),
        (tensor_of(dims=(2**40, 2**40), raw_data=bytes(8)), "8 bytes for 1,208,925,819,614,629,174,706,176 values"),
        (tensor_of(dims=(1,) * 40, float_data=[1.0]), "a shape of 1×1×"),
        (tensor_of(data_type=TensorProto.STRING), "values of type STRING"),
        (tensor_of(data_type=99), "values of type number 99"),
        (tensor_of(segment=TensorProto.Segment(begin=0, end=1), raw_data=bytes(432)), "values in segments"),
    ],
)
def test_constants_that_are_not_what_they_say(tmp_path: Path, tensor: Any, complaint: str) -> None:
    (problem,) = problems(tmp_path, make_model(CONV, {"w": tensor}))
    assert problem.startswith(f'the constant "w" cannot be read: {complaint}')


def test_a_constant_that_nobody_needs_is_not_looked_at(tmp_path: Path) -> None:
    model = make_model(CONV, {"w": W, "aside": TensorProto(name="aside", data_type=99)})
    assert list(read(tmp_path, model).parameters) == ["y"]


def test_a_constant_of_a_node_is_checked_likewise(tmp_path: Path) -> None:
    nodes = [node("Constant", [], ["w"], value=tensor_of(raw_data=bytes(8))), *CONV]
    (problem,) = problems(tmp_path, make_model(nodes))
    assert problem == 'node "w" (Constant) cannot be read: 8 bytes for 108 values of type FLOAT'


def test_twice_the_same_constant_is_a_problem(tmp_path: Path) -> None:
    model = make_model(CONV, {"w": W})
    model.graph.initializer.append(model.graph.initializer[0])
    assert problems(tmp_path, model) == ['the constant "w" is there twice']


def test_names_that_are_not_utf8_do_no_harm(tmp_path: Path) -> None:
    data = make_model([node("Relu", ["x"], ["y"], name="NAME")]).SerializeToString().replace(b"NAME", b"N\xffM\xfe")
    path = tmp_path / "model.onnx"
    path.write_bytes(data)
    convert(path, tmp_path / "net")


def test_more_problems_than_anybody_reads_are_cut_off(tmp_path: Path) -> None:
    nodes = [node("LRN", ["x"], [f"y{i}"], size=2) for i in range(300)]
    outputs = [f"y{i}" for i in range(300)]
    found = problems(tmp_path, make_model(nodes, outputs=outputs))
    assert len(found) == 101
    assert found[-1] == "the first 100 problems are listed; there may be more"


def test_a_graph_of_very_many_nodes_is_refused_and_not_written(tmp_path: Path) -> None:
    nodes = [node("Relu", ["x" if i == 0 else f"y{i - 1}"], [f"y{i}"]) for i in range(9000)]
    assert problems(tmp_path, make_model(nodes)) == ["9,000 layers | at most 8,192"]


SOUND = make_model(
    [
        *CONV[:0],
        node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1]),
        node("MaxPool", ["c"], ["p"], kernel_shape=[2, 2]),
        node("Reshape", ["p", "s"], ["f"]),
        node("Gemm", ["f", "m"], ["y"]),
    ],
    {"w": W, "s": np.array([0, -1], np.int64), "m": values(196, 2)},
).SerializeToString()


@given(st.data())
@settings(max_examples=300)
def test_damaged_models_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    damaged = bytearray(SOUND)
    # Weights are most of the file; the structure, in front of and behind them, is what can go wrong.
    structure = [i for i in range(len(SOUND)) if i < 400 or i > len(SOUND) - 200]
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.sampled_from(structure))] = data.draw(st.integers(0, 255))
    end = data.draw(st.sampled_from([len(damaged), data.draw(st.integers(1, len(damaged)))]))
    path = tmp_path_factory.mktemp("damaged") / "model.onnx"
    path.write_bytes(damaged[:end])
    try:
        imported = OnnxImporter().read([path])
        for tensors in imported.parameters.values():
            assert all(array.dtype == np.float32 for array in tensors.values())
    except CnnrtError:
        pass


def test_a_model_in_half_precision(tmp_path: Path) -> None:
    """Inputs, weights and casts of float16: everything is computed in float32."""
    nodes = [
        node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1]),
        node("Cast", ["c"], ["wide"], to=TensorProto.FLOAT),
        node("Softmax", ["wide"], ["s"], axis=1),
        node("Cast", ["s"], ["y"], to=TensorProto.FLOAT16),
    ]
    half = values(4, 3, 3, 3).astype(np.float16)
    model = make_model(nodes, {"w": half}, kind=TensorProto.FLOAT16)
    assert [block.type for block in read(tmp_path, model).netfile.layers] == ["Convolution", "Softmax"]
    x = values(2, 3, 8, 8).astype(np.float16)
    wide = make_model([nodes[0], node("Softmax", ["c"], ["y"], axis=1)], {"w": half.astype(np.float32)})
    wanted = expected(wide, {"x": x.astype(np.float32)}, ["y"])["y"]
    got = computed(tmp_path, model, {"x": x.astype(np.float32)}, ["y"])["y"]
    np.testing.assert_allclose(got, wanted, atol=1e-6)


def large_model(attribute: bool = False) -> tuple[Any, Array]:
    """A product with a matrix of 128 KiB, an initializer or the value of a Constant."""
    weight = values(128, 256)
    product = helper.make_node("Gemm", ["x", "w"], ["y"], transB=1)
    if attribute:
        constant = helper.make_node("Constant", [], ["w"], value=numpy_helper.from_array(weight, "w"))
        return make_model([constant, product], inputs={"x": ("N", 256)}), weight
    return make_model([product], {"w": weight}, inputs={"x": ("N", 256)}), weight


@pytest.mark.parametrize("attribute", [False, True])
def test_large_weights_stay_in_the_file_until_they_are_asked_for(tmp_path: Path, attribute: bool) -> None:
    model, weight = large_model(attribute)
    path = save(tmp_path, model)
    message = read_model(path)
    assert message.ByteSize() < 1000
    kept = message.graph.node[0].attribute[0].t if attribute else message.graph.initializer[0]
    (offset,) = (int(entry.value) for entry in kept.external_data if entry.key == "offset")
    assert path.read_bytes()[offset : offset + weight.nbytes] == weight.tobytes()
    (stored,) = OnnxImporter().read([path]).parameters.values()
    np.testing.assert_array_equal(stored["weight"], weight)


def test_a_model_behind_a_link_is_read_as_a_whole(tmp_path: Path) -> None:
    model, weight = large_model()
    (tmp_path / "blobs").mkdir()
    (tmp_path / "models").mkdir()
    link = tmp_path / "models" / "model.onnx"
    link.symlink_to(save(tmp_path / "blobs", model))
    (stored,) = OnnxImporter().read([link]).parameters.values()
    np.testing.assert_array_equal(stored["weight"], weight)
