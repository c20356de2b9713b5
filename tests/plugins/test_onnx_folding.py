"""What is computed while a model is read: constants of constants, with ONNX's types, inside bounds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from cnnrt import onnx_backend
from onnx_suite.small_models import assert_agrees, layers, make_model, node, problems, values


def ints(*numbers: int, dtype: type = np.int64) -> np.ndarray:
    return np.array(numbers, dtype)


SEVENS = ints(7, -7, 7, -7)
FOLDS: list[tuple[str, list[Any], dict[str, Any]]] = [
    ("Add", [SEVENS, ints(1)], {}),
    ("Sub", [SEVENS, ints(1, 2, 3, 4)], {}),
    ("Mul", [SEVENS, np.array(3)], {}),
    ("Mod", [SEVENS, ints(3, 3, -3, -3)], {}),
    ("Mod", [SEVENS.astype(np.float32), np.float32([2.5])], {"fmod": 1}),
    ("Pow", [ints(2, 3), ints(3, 2)], {}),
    ("Max", [SEVENS, ints(0), ints(1)], {}),
    ("Equal", [SEVENS, ints(7)], {}),
    ("Less", [SEVENS, ints(0)], {}),
    ("GreaterOrEqual", [SEVENS, ints(7)], {}),
    ("And", [np.array([True, False]), np.array([True])], {}),
    ("Not", [np.array([True, False])], {}),
    ("Where", [np.array([True, False]), ints(1, 2), ints(3, 4)], {}),
    ("Abs", [SEVENS], {}),
    ("Floor", [np.float32([1.5, -1.5])], {}),
    ("Sqrt", [np.float32([4, 9])], {}),
    ("Mean", [np.float32([1, 2]), np.float32([3, 5])], {}),
    ("Cast", [np.float32([1.9, -1.9])], {"to": TensorProto.INT64}),
    ("Cast", [ints(0, 2)], {"to": TensorProto.BOOL}),
    ("Concat", [ints(1), ints(2, 3)], {"axis": 0}),
    ("ConstantOfShape", [ints(2, 2)], {"value": numpy_helper.from_array(ints(5))}),
    ("ConstantOfShape", [ints(2, 2)], {}),
    ("CumSum", [SEVENS, np.array(0)], {"reverse": 1}),
    ("Expand", [ints(1, 2), ints(3, 1)], {}),
    ("Gather", [SEVENS, np.array(-1)], {}),
    ("Gather", [SEVENS.reshape(2, 2), ints(1, 0)], {"axis": 1}),
    ("Range", [np.array(1), np.array(9), np.array(3)], {}),
    ("Range", [np.float32(3), np.float32(0), np.float32(-1)], {}),
    ("ReduceProd", [SEVENS], {"keepdims": 0}),
    ("ReduceSum", [SEVENS.reshape(2, 2), ints(1)], {}),
    ("ReduceMax", [SEVENS.reshape(2, 2)], {"axes": [0]}),
    ("Reshape", [SEVENS, ints(2, -1)], {}),
    ("Slice", [SEVENS, ints(-1), ints(-9), ints(0), ints(-2)], {}),
    ("Slice", [SEVENS, ints(1), ints(2**63 - 1)], {}),
    ("Squeeze", [SEVENS.reshape(1, 4, 1), ints(0)], {}),
    ("Tile", [SEVENS, ints(2)], {}),
    ("Transpose", [SEVENS.reshape(2, 2)], {}),
    ("Unsqueeze", [SEVENS, ints(0, 2)], {}),
]


@pytest.mark.parametrize(("op", "arrays", "attributes"), FOLDS)
def test_constants_are_those_of_the_evaluator(op: str, arrays: list[Any], attributes: dict[str, Any]) -> None:
    names = [f"c{i}" for i in range(len(arrays))]
    weights = {name: np.asarray(array) for name, array in zip(names, arrays, strict=True)}
    model = make_model([node(op, names, ["y"], **attributes)], weights)
    (wanted,) = ReferenceEvaluator(model).run(None, {"x": values(1, 3, 8, 8)})
    model.graph.output[0].type.tensor_type.elem_type = 0
    (got,) = onnx_backend.run_model(model, [values(1, 3, 8, 8)])
    assert (got.dtype, got.shape) == (wanted.dtype, wanted.shape)
    np.testing.assert_array_equal(got, wanted)


def test_integers_are_divided_towards_zero() -> None:
    """By the specification; ONNX's evaluator rounds down."""
    model = make_model([node("Div", ["a", "b"], ["y"])], {"a": SEVENS, "b": ints(2, 2, -2, -2)})
    model.graph.output[0].type.tensor_type.elem_type = 0
    (got,) = onnx_backend.run_model(model, [values(1, 3, 8, 8)])
    assert got.tolist() == [3, -3, -3, 3]


def test_weights_that_are_computed(tmp_path: Path) -> None:
    nodes = [
        node("ConstantOfShape", ["shape"], ["ones"], value=numpy_helper.from_array(np.float32([0.25]))),
        node("Mul", ["ones", "w"], ["scaled"]),
        node("Transpose", ["scaled"], ["turned"], perm=[0, 1, 3, 2]),
        node("Conv", ["x", "turned"], ["y"]),
    ]
    model = make_model(nodes, {"w": values(4, 3, 3, 3), "shape": ints(4, 3, 1, 1)})
    assert list(layers(tmp_path, model)) == ["y"]
    assert_agrees(tmp_path, model)


def test_a_type_that_is_no_float_flows_as_numbers(tmp_path: Path) -> None:
    nodes = [node("Cast", ["c"], ["f"], to=TensorProto.FLOAT), node("Mul", ["x", "f"], ["y"])]
    assert_agrees(tmp_path, make_model(nodes, {"c": ints(1, 0, 2).reshape(3, 1, 1)}))


def reshaped(start: Any, *nodes: Any) -> Any:
    """Return a model whose Reshape depends on what these nodes make of the constant "c"."""
    row = [*nodes, node("Reshape", ["x", nodes[-1].output[0]], ["y"])]
    return make_model(row, {"c": np.asarray(start)})


HOSTILE = [
    (reshaped(ints(1 << 40), node("ConstantOfShape", ["c"], ["s"])), "a constant of the shape [1099511627776]"),
    (reshaped(ints(1 << 13, 1 << 13), node("ConstantOfShape", ["c"], ["z"]), node("Abs", ["z"], ["s"])), "too much"),
    (reshaped(np.array(1 << 62), node("Range", ["zero", "c", "one"], ["s"])), "a constant of the shape"),
    (reshaped(ints(*[1 << 20] * 3), node("Tile", ["c", "c"], ["s"])), "repeats"),
    (reshaped(ints(1 << 45), node("Expand", ["c", "c"], ["s"])), "a constant of the shape"),
    (reshaped(ints(3, 0), node("Div", ["c", "c"], ["s"])), "an integer is divided by 0"),
    (reshaped(ints(3), node("Cast", ["c"], ["s"], to=99)), "there is no type 99"),
    (reshaped(ints(3), node("Gather", ["c", "c"], ["s"])), "out of bounds"),
]


@pytest.mark.parametrize(("model", "complaint"), HOSTILE)
def test_constants_that_are_too_large_or_make_no_sense_are_refused(tmp_path: Path, model: Any, complaint: str) -> None:
    for name, number in (("zero", 0), ("one", 1)):
        model.graph.initializer.append(numpy_helper.from_array(np.array(number), name))
    (problem,) = problems(tmp_path, model)
    assert "its constants cannot be computed: " in problem
    assert complaint in problem


def test_weights_of_gigabytes_made_of_a_shape_are_refused(tmp_path: Path) -> None:
    nodes, value = [], "x"
    for number in range(12):
        nodes.append(node("ConstantOfShape", [f"s{number % 2}"], [f"w{number}"]))
        nodes.append(node("MatMul", [value, f"w{number}"], [f"v{number}"]))
        value = f"v{number}"
    weights = {"s0": ints(8, 10_000_000), "s1": ints(10_000_000, 8)}
    (problem,) = problems(tmp_path, make_model(nodes, weights))
    assert "3,840,000,000 bytes of weights, made of 0 bytes of constants" in problem


def test_branches_inside_branches_have_an_end(tmp_path: Path) -> None:
    graph = helper.make_graph([node("Relu", ["x"], ["last"])], "last", [], [_result("last")])
    for depth in range(12):
        choice = node("If", ["yes"], [f"v{depth}"], then_branch=graph, else_branch=graph)
        graph = helper.make_graph([choice], f"level{depth}", [], [_result(f"v{depth}")])
        if depth > 3:  # twice as many nodes at each level would be too many to write
            choice.attribute[1].g.Clear()
    model = make_model([*graph.node, node("Relu", ["v11"], ["y"])], {"yes": np.array(True)})
    assert "its condition is computed while the model runs" in problems(tmp_path, model)[0]


def _result(name: str) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
