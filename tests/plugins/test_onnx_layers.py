"""Each operator that is read: the layer that it becomes, that it computes the same, and what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnx_suite.small_models import (
    assert_agrees,
    computed,
    layers,
    make_model,
    node,
    problems,
    read,
    statistics,
    values,
)

W = values(4, 3, 3, 3, seed=1)
B = values(4, seed=2)

CONVOLUTIONS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({"kernel_shape": [3, 3], "strides": [1, 1], "dilations": [1, 1], "group": 1, "pads": [0, 0, 0, 0]}, {}),
    ({"pads": [1, 1, 1, 1], "strides": [2, 2]}, {"pad": 1, "stride": 2}),
    (
        {"pads": [1, 2, 1, 2], "strides": [2, 3], "dilations": [1, 2]},
        {"pad": (1, 2), "stride": (2, 3), "dilation": (1, 2)},
    ),
    ({"pads": [0, 1, 2, 0]}, {"pad": (0, 1, 2, 0)}),
    ({"auto_pad": "NOTSET", "pads": [1, 1, 1, 1]}, {"pad": 1}),
    ({"auto_pad": "VALID"}, {}),
    ({"auto_pad": "SAME_UPPER"}, {"pad": 1}),
    ({"auto_pad": "SAME_UPPER", "dilations": [2, 1]}, {"dilation": (2, 1), "pad": (2, 1)}),
    # 8 values, every third: 3 windows reach over 9, so that one is added, behind or in front.
    ({"auto_pad": "SAME_UPPER", "strides": [3, 3]}, {"pad": (0, 0, 1, 1), "stride": 3}),
    ({"auto_pad": "SAME_LOWER", "strides": [3, 3]}, {"pad": (1, 1, 0, 0), "stride": 3}),
]


@pytest.mark.parametrize(("attributes", "keys"), CONVOLUTIONS)
def test_convolution(tmp_path: Path, attributes: dict[str, Any], keys: dict[str, Any]) -> None:
    model = make_model([node("Conv", ["x", "w", "b"], ["y"], **attributes)], {"w": W, "b": B})
    block = layers(tmp_path, model)["y"]
    assert block.type == "Convolution"
    assert dict(block.keys) == keys
    assert_agrees(tmp_path, model)


@pytest.mark.parametrize(("group", "shape"), [(3, (6, 1, 3, 3)), (3, (3, 1, 1, 5))])
def test_grouped_convolution_without_bias(tmp_path: Path, group: int, shape: tuple[int, ...]) -> None:
    model = make_model([node("Conv", ["x", "w"], ["y"], group=group)], {"w": values(*shape)})
    assert layers(tmp_path, model)["y"].keys == {"group": group}
    assert list(read(tmp_path, model).parameters["y"]) == ["weight"]
    assert_agrees(tmp_path, model)


@pytest.mark.parametrize(
    ("attributes", "weight", "complaint"),
    [
        ({}, values(4, 3), "weights of shape 4×3 | convolutions of images"),
        ({}, values(4, 3, 3, 3, 3), "weights of shape 4×3×3×3×3"),
        ({"kernel_shape": [5, 5]}, W, "kernel_shape [5, 5], but the weights have [3, 3]"),
        ({"group": 3}, W, "group 3 does not divide its 4 outputs"),
        ({"group": 2}, W, "the input has 3 channels; weights 4×3×3×3 with group 2 take 2 × 3 = 6"),
        ({"strides": [0, 1]}, W, "strides [0, 1] | at least 1 each"),
        ({"strides": [1]}, W, "1 strides | 2"),
        ({"pads": [-1, 0, 0, 0]}, W, "pads [-1, 0, 0, 0] | at least 0 each"),
        ({"auto_pad": "SOME"}, W, "auto_pad 'SOME' | NOTSET, VALID, SAME_UPPER or SAME_LOWER"),
        ({"dilations": [4, 4]}, W, "a kernel of 3 rows reaches over 9 (dilation 4)"),
        ({"strides": 2.0}, W, "strides is of the wrong type | a list of integers"),
        ({}, W.astype(np.int64), "the weights of type INT64 | floating-point numbers"),
        ({}, values(0, 3, 3, 3), "weights of shape 0×3×3×3"),
    ],
)
def test_convolutions_that_are_refused(tmp_path: Path, attributes: dict[str, Any], weight: Any, complaint: str) -> None:
    model = make_model([node("Conv", ["x", "w"], ["y"], name="c", **attributes)], {"w": weight})
    (problem,) = problems(tmp_path, model)
    assert problem.startswith('node "c" (Conv): ')
    assert complaint in problem


def test_a_bias_of_another_size_is_refused(tmp_path: Path) -> None:
    model = make_model([node("Conv", ["x", "w", "b"], ["y"])], {"w": W, "b": values(3)})
    assert problems(tmp_path, model) == ['node "y" (Conv): the bias of shape 3 | 4 values']


def test_same_padding_with_a_stride_needs_the_size_of_the_image(tmp_path: Path) -> None:
    conv = node("Conv", ["x", "w"], ["y"], auto_pad="SAME_UPPER", strides=[2, 2])
    (problem,) = problems(tmp_path, make_model([conv], {"w": W}, inputs={"x": ["N", 3, "H", "W"]}))
    assert "auto_pad SAME_UPPER with a stride depends on the size of the image, which is unknown" in problem
    without = node("Conv", ["x", "w"], ["y"], auto_pad="SAME_UPPER")
    model = make_model([without], {"w": W}, inputs={"x": ["N", 3, "H", "W"]})
    assert layers(tmp_path, model)["y"].keys == {"pad": 1}


def test_same_padding_never_cuts_the_image(tmp_path: Path) -> None:
    """A kernel smaller than the stride, as shortcuts of residual networks have: windows start at the first pixel."""
    conv = node("Conv", ["x", "w"], ["y"], auto_pad="SAME_UPPER", strides=[4, 4])
    assert layers(tmp_path, make_model([conv], {"w": values(4, 3, 1, 1)}))["y"].keys == {"stride": 4}


POOLINGS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("MaxPool", {"kernel_shape": [2, 2]}, {"pool": "max", "kernel_size": 2, "ceil_mode": False}),
    (
        "MaxPool",
        {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 1, 1]},
        {"pool": "max", "kernel_size": (3, 2), "stride": (2, 1), "pad": (1, 0, 1, 1), "ceil_mode": False},
    ),
    (
        "MaxPool",
        {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1},
        {"pool": "max", "kernel_size": 3, "stride": 2},
    ),
    # Of the windows at 0, 3, 6 and (padded) 9 the last would start in the padding: it is dropped.
    (
        "MaxPool",
        {"kernel_shape": [2, 2], "strides": [3, 3], "pads": [1, 1, 1, 1], "ceil_mode": 1},
        {"pool": "max", "kernel_size": 2, "stride": 3, "pad": 1},
    ),
    ("AveragePool", {"kernel_shape": [2, 2]}, {"pool": "mean", "kernel_size": 2, "ceil_mode": False}),
    (
        "AveragePool",
        {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]},
        {"pool": "mean", "kernel_size": 3, "pad": 1, "ceil_mode": False, "count_include_pad": False},
    ),
    (
        "AveragePool",
        {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1},
        {"pool": "mean", "kernel_size": 3, "pad": 1, "ceil_mode": False},
    ),
    (
        "AveragePool",
        {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1},
        {"pool": "mean", "kernel_size": 3, "stride": 2},
    ),
    (
        "AveragePool",
        {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "SAME_UPPER"},
        {
            "pool": "mean",
            "kernel_size": 3,
            "stride": 2,
            "pad": (0, 0, 1, 1),
            "ceil_mode": False,
            "count_include_pad": False,
        },
    ),
    ("GlobalAveragePool", {}, {"pool": "mean", "global_pooling": True}),
    ("GlobalMaxPool", {}, {"pool": "max", "global_pooling": True}),
]


@pytest.mark.parametrize(("op", "attributes", "keys"), POOLINGS)
def test_pooling(tmp_path: Path, op: str, attributes: dict[str, Any], keys: dict[str, Any]) -> None:
    model = make_model([node(op, ["x"], ["y"], **attributes)])
    block = layers(tmp_path, model)["y"]
    assert block.type == "Pooling"
    assert dict(block.keys) == keys
    assert_agrees(tmp_path, model)


def test_pooling_whose_padding_goes_to_the_beginning(tmp_path: Path) -> None:
    """With auto_pad the output's size is settled, whatever ceil_mode says."""
    attributes = {"kernel_shape": [3, 3], "strides": [3, 3], "auto_pad": "SAME_LOWER", "ceil_mode": 1}
    model = make_model([node("MaxPool", ["x"], ["y"], **attributes)])
    keys = {"pool": "max", "kernel_size": 3, "stride": 3, "pad": (1, 1, 0, 0), "ceil_mode": False}
    assert layers(tmp_path, model)["y"].keys == keys
    x = values(2, 3, 8, 8)
    padded = np.pad(x, ((0, 0), (0, 0), (1, 0), (1, 0)), constant_values=-np.inf)
    assert_agrees(tmp_path, model, {"x": x}, padded.reshape(2, 3, 3, 3, 3, 3).max(axis=(3, 5)))


def test_a_mean_over_a_window_that_hangs_over_divides_as_caffe_does(tmp_path: Path) -> None:
    """Rounding up with padding that counts: of the last window, what lies beyond the padded image does not count."""
    attributes = {
        "kernel_shape": [3, 3],
        "strides": [2, 2],
        "pads": [0, 0, 1, 1],
        "ceil_mode": 1,
        "count_include_pad": 1,
    }
    model = make_model([node("AveragePool", ["x"], ["y"], **attributes)], inputs={"x": ["N", 1, 6, 6]})
    block = layers(tmp_path, model)["y"]
    assert "count_include_pad" not in block.keys
    assert "ceil_mode" not in block.keys


@pytest.mark.parametrize(
    ("op", "attributes", "complaint"),
    [
        ("MaxPool", {}, "it has no kernel_shape"),
        ("MaxPool", {"kernel_shape": [2, 2], "pads": [2, 0, 0, 0]}, "pad: must be smaller than the window, 2×2"),
        ("MaxPool", {"kernel_shape": [9, 9]}, "a kernel of 9 rows does not fit"),
        ("AveragePool", {"kernel_shape": [2, 2, 2]}, "3 kernel_shape | 2, windows of images, or 1"),
    ],
)
def test_pooling_that_is_refused(tmp_path: Path, op: str, attributes: dict[str, Any], complaint: str) -> None:
    (problem,) = problems(tmp_path, make_model([node(op, ["x"], ["y"], **attributes)]))
    assert complaint in problem


def test_the_indices_of_a_maximum_are_refused_where_they_are_used(tmp_path: Path) -> None:
    pool = node("MaxPool", ["x"], ["y", "where"], kernel_shape=[2, 2])
    assert "y" in layers(tmp_path, make_model([pool]))
    model = make_model([pool, node("Neg", ["where"], ["z"])], outputs=["y", "z"])
    (problem,) = problems(tmp_path, model)
    assert 'the places of the maxima of "y" are used | places that MaxUnpool takes' in problem


def test_the_places_of_maxima_are_counted_through_the_batch(tmp_path: Path) -> None:
    pool = node("MaxPool", ["x"], ["y", "where"], kernel_shape=[2, 2], strides=[2, 2])
    model = make_model([pool], outputs=["y", "where"], inputs={"x": [2, 3, 8, 8]})
    assert read(tmp_path, model).netfile.inputs[0].batch == 2
    x = values(2, 3, 8, 8)
    got = computed(tmp_path, model, {"x": x}, ["y", "where"])
    np.testing.assert_array_equal(x.reshape(-1)[got["where"].astype(np.int64)], got["y"])


@pytest.mark.parametrize("opset", [7, 9, 14, 15])
def test_batch_normalisation(tmp_path: Path, opset: int) -> None:
    norm = node("BatchNormalization", ["x", "scale", "shift", "mean", "variance"], ["y"], epsilon=1e-3)
    weights = statistics(3)
    model = make_model([norm], weights, opset=opset)
    block = layers(tmp_path, model)["y"]
    assert (block.type, dict(block.keys)) == ("BatchNorm", {"epsilon": 0.001})
    assert list(read(tmp_path, model).parameters["y"]) == ["mean", "variance", "scale", "shift"]
    x = values(2, 3, 8, 8)
    scale, shift, mean, variance = (w.reshape(3, 1, 1) for w in weights.values())
    assert_agrees(tmp_path, model, {"x": x}, scale * (x - mean) / np.sqrt(variance + 1e-3) + shift)


@pytest.mark.parametrize(
    ("attributes", "opset", "channels", "complaint"),
    [
        ({"training_mode": 1}, 15, 3, "training_mode 1 | export the model in inference mode"),
        ({"spatial": 0}, 7, 3, "spatial 0"),
        ({}, 15, 4, "the scale of shape 4 | 3 values"),
    ],
)
def test_batch_normalisation_that_is_refused(
    tmp_path: Path, attributes: dict[str, Any], opset: int, channels: int, complaint: str
) -> None:
    norm = node("BatchNormalization", ["x", "scale", "shift", "mean", "variance"], ["y"], **attributes)
    (problem,) = problems(tmp_path, make_model([norm], statistics(channels), opset=opset))
    assert complaint in problem


SIMPLE: list[tuple[str, dict[str, Any], str, dict[str, Any]]] = [
    ("Relu", {}, "ReLU", {}),
    ("LeakyRelu", {}, "ReLU", {"negative_slope": 0.01}),
    ("LeakyRelu", {"alpha": 0.3}, "ReLU", {"negative_slope": 0.3}),
    ("Flatten", {}, "Flatten", {}),
    ("Flatten", {"axis": 1}, "Flatten", {}),
    ("Flatten", {"axis": -3}, "Flatten", {}),
    ("Softmax", {"axis": 1}, "Softmax", {}),
    ("Softmax", {"axis": -3}, "Softmax", {}),
    ("Softmax", {}, "Softmax", {"axis": 3}),
    ("Sum", {}, "Eltwise", {}),
    ("Concat", {"axis": 1}, "Concat", {}),
]


@pytest.mark.parametrize(("op", "attributes", "kind", "keys"), SIMPLE)
def test_layers_without_weights(
    tmp_path: Path, op: str, attributes: dict[str, Any], kind: str, keys: dict[str, Any]
) -> None:
    model = make_model([node(op, ["x"], ["y"], **attributes)])
    block = layers(tmp_path, model)["y"]
    assert (block.type, dict(block.keys)) == (kind, keys)
    assert_agrees(tmp_path, model)


@pytest.mark.parametrize(
    ("op", "attributes", "complaint"),
    [
        ("LRN", {}, "it has no size"),
        ("LRN", {"size": 4}, "size 4 | an odd number"),
        ("Softmax", {"axis": 4}, "axis 4 of a value with 4 dimensions"),
        ("Concat", {}, "it has no axis"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, op: str, attributes: dict[str, Any], complaint: str) -> None:
    (problem,) = problems(tmp_path, make_model([node(op, ["x"], ["y"], **attributes)]))
    assert complaint in problem


@pytest.mark.parametrize(
    ("op", "attributes", "reason"),
    [
        ("Flatten", {"axis": 0}, "axis 0"),
        ("Flatten", {"axis": 2}, "axis 2"),
        ("Softmax", {"axis": 0}, "axis 0, which is the batch"),
        ("Concat", {"axis": 0}, "axis 0, which is the batch"),
        ("Concat", {"axis": -4}, "axis -4, which is the batch"),
        ("Transpose", {}, "perm [3, 2, 1, 0] moves the batch"),
    ],
)
def test_what_mixes_images_is_read_for_the_stated_batch_only(
    tmp_path: Path, op: str, attributes: dict[str, Any], reason: str
) -> None:
    model = make_model([node(op, ["x"], ["y"], **attributes)], inputs={"x": [2, 3, 8, 8]})
    imported = read(tmp_path, model)
    assert imported.netfile.inputs[0].batch == 2
    (note,) = imported.notes
    assert note.startswith('the network takes "x" in one size only, batch included: ')
    assert reason in note
    if op != "Concat":  # of one value it does nothing
        assert_agrees(tmp_path, model)


@pytest.mark.parametrize(
    ("attributes", "keys"),
    [
        ({"size": 5}, {"alpha": 0.0001}),
        (
            {"size": 3, "alpha": 2.0, "beta": 0.5, "bias": 2.0},
            {"local_size": 3, "alpha": 2.0, "beta": 0.5, "k": 2.0},
        ),
    ],
)
def test_lrn(tmp_path: Path, attributes: dict[str, Any], keys: dict[str, Any]) -> None:
    model = make_model([node("LRN", ["x"], ["y"], **attributes)])
    assert layers(tmp_path, model)["y"].keys == keys
    x = values(2, 3, 8, 8)
    # Of three channels, the one in the middle has two neighbours, the others have one, or two where the size is 5.
    near = np.array([[1, 1, attributes["size"] == 5], [1, 1, 1], [attributes["size"] == 5, 1, 1]])
    squares = np.einsum("cd,ndij->ncij", near, x.astype(np.float64) ** 2)
    base = attributes.get("bias", 1.0) + attributes.get("alpha", 1e-4) / attributes["size"] * squares
    assert_agrees(tmp_path, model, {"x": x}, x / base ** attributes.get("beta", 0.75))


def test_softmax_before_operator_set_13_takes_all_further_dimensions_as_one(tmp_path: Path) -> None:
    softmax = node("Softmax", ["x"], ["y"])
    flat = make_model([softmax], inputs={"x": ["N", 5]}, opset=11)
    assert layers(tmp_path, flat)["y"].keys == {}
    assert_agrees(tmp_path, flat, {"x": values(2, 5)})

    scores = values(2, 5)
    probabilities = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    for shape, opset, keys in (((2, 5, 1, 1), 9, {}), ((2, 1, 1, 5), 12, {"axis": 3})):
        model = make_model([softmax], inputs={"x": ["N", *shape[1:]]}, opset=opset)
        assert layers(tmp_path, model)["y"].keys == keys
        assert_agrees(tmp_path, model, {"x": scores.reshape(shape)}, probabilities.reshape(shape))

    joined = make_model([softmax], opset=12)
    assert [block.type for block in layers(tmp_path, joined).values()] == ["Reshape", "Softmax", "Reshape"]
    x = values(2, 3, 8, 8)
    exponentials = np.exp(x.astype(np.float64))
    assert_agrees(tmp_path, joined, {"x": x}, exponentials / exponentials.sum(axis=(1, 2, 3), keepdims=True))
    assert layers(tmp_path, make_model([softmax], opset=13))["y"].keys == {"axis": 3}


VECTOR = {"x": ["N", 6]}
GEMMS: list[tuple[dict[str, Any], tuple[int, int], tuple[int, ...] | None]] = [
    ({}, (6, 4), (4,)),
    ({"transB": 1}, (4, 6), (4,)),
    ({"transB": 1, "alpha": 0.5, "beta": -2.0}, (4, 6), (1, 4)),
    ({"transB": 1}, (4, 6), (1,)),
    ({"transB": 1}, (4, 6), ()),
    ({"alpha": 3.0}, (6, 4), None),
]


@pytest.mark.parametrize(("attributes", "matrix", "bias"), GEMMS)
def test_gemm(
    tmp_path: Path, attributes: dict[str, Any], matrix: tuple[int, int], bias: tuple[int, ...] | None
) -> None:
    weights = {"m": values(*matrix), **({} if bias is None else {"c": values(*bias, seed=1)})}
    model = make_model([node("Gemm", ["x", *weights], ["y"], **attributes)], weights, inputs=VECTOR, opset=13)
    imported = read(tmp_path, model)
    assert imported.netfile.layers[0].type == "FullyConnected"
    assert imported.parameters["y"]["weight"].shape == (4, 6)
    assert imported.parameters["y"]["weight"].flags.c_contiguous
    assert_agrees(tmp_path, model, {"x": values(2, 6, seed=2)})


@pytest.mark.parametrize(
    ("attributes", "weights", "inputs", "complaint"),
    [
        ({"transA": 1}, {"m": values(6, 4)}, {"x": [5, 7]}, "the weights 4×6 take 6 features"),
        ({}, {"m": values(6, 4, 1)}, VECTOR, "an input of shape 6×4×1 | two dimensions"),
        ({}, {"m": values(5, 4)}, VECTOR, "the weights 4×5 take 5 features"),
        ({}, {"m": values(6, 4), "c": values(3)}, VECTOR, "expected inputs of shapes that fit"),
        ({}, {"m": values(8, 4)}, None, "an input of shape 1×3×8×8 | two dimensions"),
    ],
)
def test_gemm_that_is_refused(
    tmp_path: Path, attributes: dict[str, Any], weights: dict[str, Any], inputs: Any, complaint: str
) -> None:
    model = make_model([node("Gemm", ["x", *weights], ["y"], **attributes)], weights, inputs=inputs)
    (problem,) = problems(tmp_path, model)
    assert complaint in problem


def test_products_of_computed_matrices(tmp_path: Path) -> None:
    nodes = [node("Transpose", ["x"], ["t"], perm=[0, 1, 3, 2]), node("MatMul", ["x", "t"], ["y"])]
    assert layers(tmp_path, make_model(nodes))["y"].type == "MatMul"
    assert_agrees(tmp_path, make_model(nodes))
    model = make_model([node("MatMul", ["m", "x"], ["y"])], {"m": values(5, 8)})
    assert [block.type for block in layers(tmp_path, model).values()] == ["Constant", "MatMul"]
    assert_agrees(tmp_path, model)


def test_a_gemm_that_adds_more_than_a_bias(tmp_path: Path) -> None:
    weights = {"m": values(6, 4), "c": values(2, 4, seed=3)}
    model = make_model([node("Gemm", ["x", "m", "c"], ["y"], beta=0.5)], weights, inputs={"x": [2, 6]})
    assert_agrees(tmp_path, model, {"x": values(2, 6)})


@pytest.mark.parametrize("item", [(6,), (3, 6), (2, 3, 6)])
def test_matrix_products_along_the_last_dimension(tmp_path: Path, item: tuple[int, ...]) -> None:
    nodes = [node("MatMul", ["x", "m"], ["p"]), node("Add", ["p", "c"], ["y"])]
    model = make_model(nodes, {"m": values(6, 4), "c": values(4)}, inputs={"x": ["N", *item]})
    (block,) = read(tmp_path, model).netfile.layers
    assert (block.type, dict(block.keys)) == ("FullyConnected", {} if len(item) == 1 else {"axis": -1})
    assert_agrees(tmp_path, model, {"x": values(2, *item)})


RESHAPES = [
    (["N", 3, 8, 8], [0, -1]),
    (["N", 3, 8, 8], [-1, 192]),
    (["N", 3, 8, 8], [0, 192]),
    ([2, 3, 8, 8], [2, -1]),
    ([1, 3, 8, 8], [1, 192]),
]


@pytest.mark.parametrize(("shape", "target"), RESHAPES)
def test_a_reshape_to_rows_of_features_is_a_flatten(tmp_path: Path, shape: list[Any], target: list[int]) -> None:
    model = make_model([node("Reshape", ["x", "s"], ["y"])], {"s": np.array(target, np.int64)}, inputs={"x": shape})
    assert layers(tmp_path, model)["y"].type == "Flatten"
    batch = shape[0] if isinstance(shape[0], int) else 2
    assert_agrees(tmp_path, model, {"x": values(batch, 3, 8, 8)})


@pytest.mark.parametrize("target", [[-1, 3, 8, 8], [0, 0, 0, 0], [0, 3, -1, 8]])
def test_a_reshape_to_the_same_shape_is_nothing(tmp_path: Path, target: list[int]) -> None:
    nodes = [node("Reshape", ["x", "s"], ["r"]), node("Relu", ["r"], ["y"])]
    assert list(layers(tmp_path, make_model(nodes, {"s": np.array(target, np.int64)}))) == ["y"]


@pytest.mark.parametrize("target", [[0, 3, 64], [-1, 3, 64], [0, 6, -1, 8], [0, 0, 2, 4, -1], [0, 1, 192, 1]])
def test_a_reshape_of_each_image_keeps_the_batch_free(tmp_path: Path, target: list[int]) -> None:
    model = make_model([node("Reshape", ["x", "s"], ["y"])], {"s": np.array(target, np.int64)})
    imported = read(tmp_path, model)
    assert (imported.netfile.inputs[0].batch, imported.notes) == (None, ())
    assert_agrees(tmp_path, model)


@pytest.mark.parametrize("target", [[-1], [1, -1], [-1, 96], [3, 2, 64]])
def test_other_reshapes_are_for_the_stated_batch_only(tmp_path: Path, target: list[int]) -> None:
    weights = {"s": np.array(target, np.int64)}
    model = make_model([node("Reshape", ["x", "s"], ["y"])], weights, inputs={"x": [2, 3, 8, 8]})
    imported = read(tmp_path, model)
    assert imported.netfile.inputs[0].batch == 2
    assert f"from ?×3×8×8 to {target}" in imported.notes[0]
    assert_agrees(tmp_path, model)


@pytest.mark.parametrize("target", [[2, 192], [-1, -1], [0, -2], [0, 0], []])
def test_reshapes_that_do_not_fit_are_refused(tmp_path: Path, target: list[int]) -> None:
    model = make_model([node("Reshape", ["x", "s"], ["y"])], {"s": np.array(target, np.int64)})
    (problem,) = problems(tmp_path, model)
    assert f"the shape [1, 3, 8, 8] cannot become {target}" in problem


def test_the_arithmetic_of_shapes_is_done_when_the_model_is_read(tmp_path: Path) -> None:
    """As exporters write x.view(x.size(0), -1, x.size(3) * 2), with the batch left open."""
    nodes = [
        node("Shape", ["x"], ["s"]),
        node("Constant", [], ["zero"], value_int=0),
        node("Constant", [], ["three"], value_int=3),
        node("Constant", [], ["two"], value_int=2),
        node("Gather", ["s", "zero"], ["n"]),
        node("Gather", ["s", "three"], ["columns"]),
        node("Mul", ["columns", "two"], ["wide"]),
        node("Unsqueeze", ["n", "axis"], ["n1"]),
        node("Unsqueeze", ["wide", "axis"], ["wide1"]),
        node("Concat", ["n1", "rest", "wide1"], ["target"], axis=0),
        node("Reshape", ["x", "target"], ["y"]),
    ]
    weights = {"axis": np.array([0], np.int64), "rest": np.array([-1], np.int64)}
    model = make_model(nodes, weights)
    (block,) = read(tmp_path, model).netfile.layers
    assert (block.type, block.keys["shape"]) == ("Reshape", (0, 12, 16))
    assert_agrees(tmp_path, model)


def test_what_is_computed_from_the_number_of_images_fixes_it(tmp_path: Path) -> None:
    nodes = [
        node("Shape", ["x"], ["s"], end=2),
        node("ReduceProd", ["s"], ["rows"], keepdims=1),
        node("Concat", ["rows", "rest"], ["target"], axis=0),
        node("Reshape", ["x", "target"], ["y"]),
    ]
    model = make_model(nodes, {"rest": np.array([-1], np.int64)}, inputs={"x": [2, 3, 8, 8]})
    imported = read(tmp_path, model)
    assert imported.netfile.inputs[0].batch == 2
    assert "depends on the number of images" in imported.notes[0]
    assert_agrees(tmp_path, model)


@pytest.mark.parametrize(
    ("nodes", "weights", "opset"),
    [
        ([node("Dropout", ["x"], ["d"], ratio=0.3)], {}, 7),
        ([node("Dropout", ["x"], ["d", "mask"])], {}, 10),
        ([node("Dropout", ["x", "r"], ["d"])], {"r": np.array(0.4, np.float32)}, 13),
        ([node("Dropout", ["x", "", "t"], ["d"])], {"t": np.array(False)}, 13),
    ],
)
def test_dropout_does_nothing(tmp_path: Path, nodes: list[Any], weights: dict[str, Any], opset: int) -> None:
    model = make_model([*nodes, node("Relu", ["d"], ["y"])], weights, opset=opset)
    assert [block.type for block in layers(tmp_path, model).values()] == ["Dropout", "ReLU"]
    assert_agrees(tmp_path, model)


def test_dropout_in_training_is_refused(tmp_path: Path) -> None:
    model = make_model([node("Dropout", ["x", "", "t"], ["y"])], {"t": np.array(True)})
    (problem,) = problems(tmp_path, model)
    assert "training_mode is set | export the model in inference mode" in problem


def test_sums_of_values_of_one_shape(tmp_path: Path) -> None:
    nodes = [node("Relu", ["x"], ["r"]), node("Add", ["x", "r"], ["s"]), node("Sum", ["s", "r", "x"], ["y"])]
    assert [b.type for b in layers(tmp_path, make_model(nodes)).values()] == ["ReLU", "Eltwise", "Eltwise"]
    assert_agrees(tmp_path, make_model(nodes))


def test_sums_repeat_values_where_shapes_differ(tmp_path: Path) -> None:
    nodes = [node("GlobalAveragePool", ["x"], ["g"]), node("Add", ["x", "g"], ["y"])]
    assert_agrees(tmp_path, make_model(nodes))


NUMBER, CHANNELS, MAP = values(), values(3, 1, 1), values(3, 8, 8)
ARITHMETIC: list[tuple[str, Any, str, dict[str, Any]]] = [
    ("Add", NUMBER, "Power", {"shift": float(str(NUMBER))}),
    ("Mul", np.float32(2), "Power", {"scale": 2.0}),
    ("Sub", np.float32(0.5), "Power", {"shift": -0.5}),
    ("Div", np.float32(4), "Power", {"scale": 0.25}),
    ("Pow", np.float32(3), "Power", {"power": 3.0}),
    ("Max", np.float32(0.1), "Clip", {"min": 0.1}),
    ("Min", np.float32(0.1), "Clip", {"max": 0.1}),
    ("Add", CHANNELS, "Scale", {}),
    ("Sub", CHANNELS, "Scale", {}),
    ("Mul", CHANNELS, "Scale", {}),
    ("Mul", MAP, "Eltwise", {"operation": "prod"}),
    ("Max", CHANNELS, "Eltwise", {"operation": "max"}),
]


@pytest.mark.parametrize(("op", "constant", "kind", "keys"), ARITHMETIC)
def test_arithmetic_with_a_constant(tmp_path: Path, op: str, constant: Any, kind: str, keys: dict[str, Any]) -> None:
    for inputs in (["x", "c"], ["c", "x"]) if op in ("Add", "Mul", "Max", "Min") else (["x", "c"],):
        model = make_model([node(op, inputs, ["y"])], {"c": np.asarray(constant)})
        block = layers(tmp_path, model)["y"]
        assert (block.type, dict(block.keys)) == (kind, keys)
        assert_agrees(tmp_path, model)


@pytest.mark.parametrize("op", ["Sub", "Div"])
def test_a_constant_comes_first(tmp_path: Path, op: str) -> None:
    x = values(2, 3, 8, 8) + np.float32(5)
    for constant in (np.array(1, np.float32), np.array(-2.5, np.float32), values(3, 1, 1)):
        assert_agrees(tmp_path, make_model([node(op, ["c", "x"], ["y"])], {"c": constant}), {"x": x})


def test_before_operator_set_7_a_second_value_is_aligned_at_an_axis(tmp_path: Path) -> None:
    model = make_model([node("Add", ["x", "c"], ["y"], broadcast=1, axis=1)], {"c": values(3)}, opset=6)
    assert layers(tmp_path, model)["y"].type == "Scale"
    x = values(2, 3, 8, 8)
    got = computed(tmp_path, model, {"x": x}, ["y"])["y"]
    np.testing.assert_allclose(got, x + values(3).reshape(3, 1, 1), rtol=1e-6)


def test_concat_along_any_dimension_of_an_image(tmp_path: Path) -> None:
    for axis, keys in ((1, {}), (-1, {"axis": 3}), (2, {"axis": 2})):
        nodes = [node("Relu", ["x"], ["r"]), node("Concat", ["x", "r", "x"], ["y"], axis=axis)]
        model = make_model(nodes)
        assert layers(tmp_path, model)["y"].keys == keys
        assert_agrees(tmp_path, model)


CONSTANTS: list[tuple[dict[str, Any], Any]] = [
    ({"value_floats": [0.5, 1.0, -2.0]}, (3,)),
    ({"value_float": 0.5}, ()),
]


@pytest.mark.parametrize(("attributes", "shape"), CONSTANTS)
def test_constants_of_nodes_are_constants(tmp_path: Path, attributes: dict[str, Any], shape: Any) -> None:
    nodes = [
        node("Constant", [], ["c"], **attributes),
        node("MatMul", ["x", "m"], ["p"]),
        node("Add", ["c", "p"], ["y"]),
    ]
    model = make_model(nodes, {"m": values(6, 3)}, inputs=VECTOR)
    assert len(layers(tmp_path, model)) == 1
    assert_agrees(tmp_path, model, {"x": values(2, 6)})


def test_constants_are_reshaped_and_handed_on_when_the_model_is_read(tmp_path: Path) -> None:
    nodes = [
        node("Constant", [], ["s"], value_ints=[2, -1]),
        node("Reshape", ["w", "s"], ["m"]),
        node("Identity", ["m"], ["same"]),
        node("MatMul", ["x", "same"], ["y"]),
    ]
    model = make_model(nodes, {"w": values(1, 2, 3)}, inputs={"x": ["N", 2]})
    assert_agrees(tmp_path, model, {"x": values(4, 2)})
    nodes[0] = node("Constant", [], ["s"], value_ints=[4, -1])
    (problem,) = problems(tmp_path, make_model(nodes, {"w": values(1, 2, 3)}, inputs={"x": ["N", 2]}))
    assert "the shape [1, 2, 3] cannot become [4, -1]" in problem


def test_a_constant_of_text_is_refused(tmp_path: Path) -> None:
    nodes = [node("Constant", [], ["c"], value_string="text"), node("Add", ["x", "c"], ["y"])]
    (problem,) = problems(tmp_path, make_model(nodes))
    assert 'node "c" (Constant): it does not state one tensor or numbers' in problem


def test_attributes_that_no_rule_knows_are_mentioned(tmp_path: Path) -> None:
    imported = read(tmp_path, make_model([node("Relu", ["x"], ["y"], strength=3)]))
    assert imported.notes == ('node "y" (Relu): the attribute "strength" is unknown and was ignored',)
