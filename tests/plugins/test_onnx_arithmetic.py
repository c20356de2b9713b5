"""ONNX's sums, products with constants, and constants themselves."""

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
    values,
)


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
    model = make_model(nodes, {"m": values(6, 3)}, inputs={"x": ["N", 6]})
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
