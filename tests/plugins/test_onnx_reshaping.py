"""ONNX's reshapes, and shapes that are computed."""

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
    values,
)

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
