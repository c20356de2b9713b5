"""Weights: matched by name, checked before they are loaded, read only when they are looked up."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caffe_suite.model_files import INPUT, convolution, convolution_weights, failure, layer, read, write_caffemodel
from cnnrt.errors import CnnrtError
from cnnrt.protobuf_wire import write_varint
from cnnrt_import_caffe.blobs import read_blob
from cnnrt_import_caffe.importer import CaffeImporter
from cnnrt_import_caffe.messages import message_class

ONE = INPUT + convolution("c", "data")


def test_weights_are_float32_in_the_shape_that_the_layer_has_and_belong_to_the_caller(tmp_path: Path) -> None:
    weights = convolution_weights()
    parameters = read(tmp_path, ONE, {"c": weights}).parameters
    assert dict(parameters).keys() == {"c"}
    assert list(parameters["c"]) == ["weight", "bias"]
    for name, expected in zip(("weight", "bias"), weights, strict=True):
        got = parameters["c"][name]
        assert got.dtype == np.float32
        np.testing.assert_array_equal(got, expected)
        assert got.flags.c_contiguous
        assert got.flags.aligned
        assert got.flags.writeable


def test_double_values_are_accepted(tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_text(ONE)
    weights = convolution_weights()
    path = write_caffemodel(tmp_path / "net.caffemodel", {"c": weights}, double=True)
    model = CaffeImporter().read([tmp_path / "net.prototxt", path])
    assert model.parameters["c"]["weight"].dtype == np.float32
    np.testing.assert_array_equal(model.parameters["c"]["weight"], weights[0])


def test_a_layer_may_lack_a_bias(tmp_path: Path) -> None:
    text = INPUT + convolution("c", "data", rest="bias_term: false")
    assert list(read(tmp_path, text, {"c": convolution_weights()[:1]}).parameters["c"]) == ["weight"]


def test_all_layers_whose_weights_are_missing_are_named_at_once(tmp_path: Path) -> None:
    text = ONE + convolution("d", "c") + convolution("e", "d")
    error = failure(tmp_path, text, {"d": convolution_weights(inputs=4)})
    assert [(p.message, p.position.line if p.position else 0) for p in error.problems] == [
        ('layer "c": net.caffemodel has no weights for it', 2),
        ('layer "e": net.caffemodel has no weights for it', 4),
    ]


def test_a_prototxt_alone_asks_for_its_caffemodel_and_names_what_is_not_supported(tmp_path: Path) -> None:
    error = failure(tmp_path, ONE + layer("p", "Tile", "c"))
    assert [p.message for p in error.problems] == [
        "the weights are missing: a prototxt holds only the layers",
        'layer "p": type Tile is not supported',
    ]
    assert ".caffemodel" in error.problems[0].hint


def test_weights_that_the_net_does_not_use_are_mentioned(tmp_path: Path) -> None:
    model = read(tmp_path, ONE, {"c": convolution_weights(), "aux": convolution_weights()})
    assert model.notes == ('net.caffemodel also holds weights that the net does not use: "aux"',)


@pytest.mark.parametrize(
    ("weights", "complaint"),
    [
        (convolution_weights(outputs=5), "its weight is stored as 5×3×3×3"),
        (convolution_weights(kernel=5), "expected 4×?×3×3"),
        (convolution_weights()[:1], "no bias is stored"),
        ([*convolution_weights(), np.zeros(4, np.float32)], "3 blobs of weights are stored, but the layer has 2"),
        ([np.zeros(108, np.float32), np.zeros(4, np.float32)], "its weight is stored as 108"),
        ([convolution_weights()[0], np.zeros((2, 2), np.float32)], "its bias is stored as 2×2"),
    ],
)
def test_weights_of_another_shape_are_refused(tmp_path: Path, weights: list[np.ndarray], complaint: str) -> None:
    assert complaint in str(failure(tmp_path, ONE, {"c": weights}))


def test_shared_weights_reach_every_layer_that_names_them(tmp_path: Path) -> None:
    shared = 'param { name: "w" lr_mult: 1 } param { name: "b" }'
    parts = [
        f'layer {{ name: "{name}" type: "Convolution" bottom: "data" top: "{name}" {shared} '
        "convolution_param { num_output: 4 kernel_size: 3 } }\n"
        for name in ("left", "right")
    ]
    weights = convolution_weights()
    for stored in ("left", "right"):
        model = read(tmp_path, INPUT + "".join(parts), {stored: weights})
        for name in ("left", "right"):
            np.testing.assert_array_equal(model.parameters[name]["weight"], weights[0])
            np.testing.assert_array_equal(model.parameters[name]["bias"], weights[1])
        assert 'layers "left", "right" share the weights "w"' in model.notes
        assert model.parameters["left"] is model.parameters["right"]  # one file will serve both


def test_a_model_takes_the_memory_of_the_weight_that_is_looked_up(tmp_path: Path) -> None:
    big = np.zeros((1, 2_000_000), np.float32)
    text = INPUT + "".join(
        layer(name, "InnerProduct", "data", "inner_product_param { num_output: 1 bias_term: false }") for name in "ab"
    )
    (tmp_path / "net.prototxt").write_text(text)
    path = write_caffemodel(tmp_path / "net.caffemodel", {"a": [big], "b": [big]})
    tracemalloc.start()
    try:
        model = CaffeImporter().read([tmp_path / "net.prototxt", path])
        reading = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        weight = model.parameters["a"]["weight"]
        looking_up = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert weight.nbytes == 8_000_000
    assert reading < 6_000_000
    assert looking_up < 8_500_000


finite = st.floats(width=32, allow_nan=False)


@given(st.lists(finite, max_size=40), st.integers(0, 40), st.booleans(), st.booleans())
def test_values_may_come_packed_tagged_or_in_pieces(
    values: list[float], cut: int, first_packed: bool, second_packed: bool
) -> None:
    def run(part: np.ndarray, packed: bool) -> bytes:
        if packed:
            return b"\x2a" + write_varint(part.nbytes) + part.tobytes()
        return b"".join(b"\x2d" + value.tobytes() for value in part)

    array = np.array(values, "<f4")
    data = run(array[:cut], first_packed) + b"\x3a\x03\x0a\x01" + bytes([len(values)]) + run(array[cut:], second_packed)
    blob = read_blob(memoryview(data), 0, len(data))
    by_library = message_class("BlobProto")()
    by_library.ParseFromString(data)
    np.testing.assert_array_equal(blob.array(), array)
    np.testing.assert_array_equal(blob.array(), np.array(by_library.data, np.float32))


@given(st.lists(st.integers(1, 6), min_size=1, max_size=5), st.booleans())
def test_a_blob_reads_as_the_library_reads_it(shape: list[int], old: bool) -> None:
    blob = message_class("BlobProto")()
    if old:
        shape = ([1, 1, 1, *shape])[-4:]
        blob.num, blob.channels, blob.height, blob.width = shape
    else:
        blob.shape.dim.extend(shape)
    blob.data.extend(range(int(np.prod(shape))))
    data = blob.SerializeToString()
    got = read_blob(memoryview(data), 0, len(data)).array()
    np.testing.assert_array_equal(got, np.array(blob.data, np.float32).reshape(shape))


def test_mean_images(tmp_path: Path) -> None:
    image = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    blob = message_class("BlobProto")(num=1, channels=2, height=3, width=4, data=image.ravel().tolist())
    path = tmp_path / "mean.binaryproto"
    path.write_bytes(blob.SerializeToString())
    mean = CaffeImporter().read_mean(path)
    assert mean is not None
    assert mean.dtype == np.float32
    np.testing.assert_array_equal(mean, image)


def test_other_files_are_no_mean_images(tmp_path: Path) -> None:
    path = tmp_path / "mean.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    assert CaffeImporter().read_mean(path) is None


@pytest.mark.parametrize("content", [b"", b"garbage", bytes.fromhex("0801100218032004")])
def test_a_damaged_mean_image_is_an_error_that_names_it(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "mean.binaryproto"
    path.write_bytes(content)
    with pytest.raises(CnnrtError, match=r"mean\.binaryproto"):
        CaffeImporter().read_mean(path)
