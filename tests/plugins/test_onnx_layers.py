"""ONNX's normalisations, activations and products, against onnx's own evaluator."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnx_suite.small_models import (
    assert_agrees,
    layers,
    make_model,
    node,
    problems,
    read,
    statistics,
    values,
)


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
