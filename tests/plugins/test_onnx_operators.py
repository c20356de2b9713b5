"""Every other operator that is read: it computes the same as ONNX's evaluator, for any number of images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnx_suite.small_models import assert_agrees, computed, layers, make_model, node, read, values

C3, C6 = values(3, seed=4), values(6, seed=5)


def ints(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


OPERATORS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    # activations
    *[(op, {}, {}) for op in ("Sigmoid", "Tanh", "Elu", "Selu", "Celu", "HardSigmoid", "HardSwish", "Softplus")],
    *[(op, {}, {}) for op in ("Softsign", "ThresholdedRelu", "Shrink", "Abs", "Exp", "Neg", "Erf", "Sign")],
    *[(op, {}, {}) for op in ("Floor", "Ceil", "Round", "Sin", "Cos", "Atan", "Sinh", "Asinh")],
    ("Elu", {"alpha": 0.3}, {}),
    ("Celu", {"alpha": 2.0}, {}),
    ("HardSigmoid", {"alpha": 0.5, "beta": 0.4}, {}),
    ("Selu", {"alpha": 2.0, "gamma": 3.0}, {}),
    ("Shrink", {"lambd": 0.3, "bias": 0.2}, {}),
    ("ThresholdedRelu", {"alpha": 0.2}, {}),
    ("PRelu", {}, {"s": values(3, 1, 1)}),
    ("PRelu", {}, {"s": values(1, seed=2)}),
    ("PRelu", {}, {"s": values(8, 8)}),
    ("Clip", {}, {"lo": np.float32(-0.5), "hi": np.float32(0.5)}),
    ("LogSoftmax", {"axis": 1}, {}),
    ("LogSoftmax", {"axis": -1}, {}),
    # normalisation
    ("InstanceNormalization", {"epsilon": 1e-3}, {"scale": C3, "bias": C3}),
    ("LayerNormalization", {"axis": 1}, {"scale": values(3, 8, 8), "bias": values(3, 8, 8)}),
    ("LayerNormalization", {"axis": -1, "epsilon": 1e-3}, {"scale": values(8)}),
    ("LpNormalization", {"axis": 1, "p": 2}, {}),
    # windows
    ("ConvTranspose", {"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]}, {"w": values(3, 4, 3, 3)}),
    ("ConvTranspose", {"dilations": [2, 2]}, {"w": values(3, 6, 3, 3), "b": C6}),
    ("ConvTranspose", {"strides": [2, 2], "auto_pad": "SAME_UPPER"}, {"w": values(3, 4, 3, 3)}),
    ("MaxPool", {"kernel_shape": [2, 2], "dilations": [2, 2], "strides": [1, 2]}, {}),
    ("LpPool", {"kernel_shape": [2, 2], "strides": [2, 2], "p": 3}, {}),
    # moving
    ("Transpose", {"perm": [0, 2, 3, 1]}, {}),
    ("Slice", {}, {"starts": ints(1), "ends": ints(2**31 - 1), "axes": ints(1)}),
    ("Slice", {}, {"starts": ints(-1, 0), "ends": ints(-9, 8), "axes": ints(2, 3), "steps": ints(-2, 3)}),
    ("Pad", {}, {"p": ints(0, 1, 0, 2, 0, 0, 1, 1)}),
    ("Pad", {"mode": "reflect"}, {"p": ints(0, 0, 1, 2, 0, 0, 3, 1)}),
    ("Pad", {"mode": "edge"}, {"p": ints(0, 0, 1, 2, 0, 0, 3, 1)}),
    ("Pad", {}, {"p": ints(0, 0, 1, 2, 0, 0, 2, 1), "v": np.float32(1.5)}),
    ("Gather", {"axis": 1}, {"i": ints(2, 0, -1, 2)}),
    ("Gather", {"axis": 3}, {"i": np.array(5, np.int64)}),
    ("Gather", {"axis": 2}, {"i": ints(1, 2, 3, 4).reshape(2, 2)}),
    ("Tile", {}, {"r": ints(1, 2, 1, 3)}),
    ("Unsqueeze", {}, {"a": ints(1, -1)}),
    ("DepthToSpace", {"blocksize": 1}, {}),
    ("SpaceToDepth", {"blocksize": 2}, {}),
    # along axes
    *[(op, {}, {"a": ints(1)}) for op in ("ReduceSum",)],
    ("ReduceSum", {"keepdims": 0}, {"a": ints(-1, 1)}),
    *[
        (op, {"axes": [1, -1], "keepdims": keep}, {})
        for op in ("ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceSumSquare")
        for keep in (0, 1)
    ],
    ("ReduceMean", {"axes": [2, 3]}, {}),
    ("ReduceMax", {"axes": [-2, -1], "keepdims": 0}, {}),
    ("ReduceLogSumExp", {"axes": [1]}, {}),
    ("CumSum", {"reverse": 1, "exclusive": 1}, {"a": np.array(2, np.int64)}),
    # sizes
    ("Resize", {"mode": "nearest", "nearest_mode": "floor"}, {"roi": C3[:0], "s": np.float32([1, 1, 2, 3])}),
    ("Resize", {"mode": "linear"}, {"roi": C3[:0], "s": np.float32([1, 1, 1.5, 2])}),
    ("Resize", {"mode": "cubic"}, {"roi": C3[:0], "s": np.float32([1, 1, 2, 2])}),
]


@pytest.mark.parametrize(("op", "attributes", "constants"), OPERATORS, ids=lambda x: x if isinstance(x, str) else "")
def test_for_any_number_of_images(
    tmp_path: Path, op: str, attributes: dict[str, Any], constants: dict[str, Any]
) -> None:
    given = {name: np.asarray(constant) for name, constant in constants.items()}
    model = make_model([node(op, ["x", *constants], ["y"], **attributes)], given)
    imported = read(tmp_path, model)
    assert (imported.netfile.inputs[0].batch, imported.notes) == (None, ())
    assert_agrees(tmp_path, model, {"x": values(3, 3, 8, 8)})


def test_images_of_a_stated_size(tmp_path: Path) -> None:
    resize = node("Resize", ["x", "", "", "z"], ["y"], mode="linear", coordinate_transformation_mode="align_corners")
    model = make_model([resize], {"z": ints(3, 3, 13, 5)})
    assert layers(tmp_path, model)["y"].keys["size"] == (13, 5)
    assert_agrees(tmp_path, model, {"x": values(3, 3, 8, 8)})


@pytest.mark.parametrize("item", [(5,), (3, 5), (3, 4, 5)])
@pytest.mark.parametrize("op", ["Relu", "Softmax", "GlobalMaxPool", "MaxPool", "Conv"])
def test_values_that_are_no_images(tmp_path: Path, op: str, item: tuple[int, ...]) -> None:
    weights = {"w": values(2, 3, 3)} if op == "Conv" else {}
    attributes = {"MaxPool": {"kernel_shape": [2]}, "Conv": {"pads": [1, 0], "strides": [2]}}.get(op, {})
    if op in ("MaxPool", "Conv") and len(item) != 2:
        pytest.skip("rows have channels and a length")
    if op == "GlobalMaxPool" and len(item) == 1:
        pytest.skip("features have no extent")
    model = make_model([node(op, ["x", *weights], ["y"], **attributes)], weights, inputs={"x": ["N", *item]})
    assert read(tmp_path, model).netfile.inputs[0].batch is None
    x = values(2, *item)
    # ONNX's evaluator loses the channels of rows here.
    wanted = x.max(axis=tuple(range(2, x.ndim)), keepdims=True) if op == "GlobalMaxPool" else None
    assert_agrees(tmp_path, model, {"x": x}, wanted)


def test_groups_are_normalised(tmp_path: Path) -> None:
    x = values(2, 6, 4, 4)
    grouped = x.reshape(2, 3, -1).astype(np.float64)
    normal = (grouped - grouped.mean(-1, keepdims=True)) / np.sqrt(grouped.var(-1, keepdims=True) + 1e-5)
    scale, bias = values(6, seed=1).reshape(6, 1, 1), values(6, seed=2).reshape(6, 1, 1)
    weights = {"s": scale.reshape(6), "b": bias.reshape(6)}
    nodes = [node("GroupNormalization", ["x", "s", "b"], ["y"], num_groups=3)]
    model = make_model(nodes, weights, inputs={"x": ["N", 6, 4, 4]}, opset=21, ir_version=10)
    assert layers(tmp_path, model)["y"].keys == {"group": 3}
    got = computed(tmp_path, model, {"x": x}, ["y"])["y"]
    np.testing.assert_allclose(got, normal.reshape(x.shape) * scale + bias, atol=1e-5)


def test_parts_of_a_split_that_nobody_needs_are_not_made(tmp_path: Path) -> None:
    for outputs, kinds in ((["a", "b", "c"], ["Slice"]), (["a", "c"], ["StridedSlice", "StridedSlice"])):
        nodes = [node("Split", ["x", "parts"], ["a", "b", "c"], axis=3)]
        model = make_model(nodes, {"parts": ints(1, 4, 3)}, outputs=outputs)
        assert [block.type for block in read(tmp_path, model).netfile.layers] == kinds
        assert_agrees(tmp_path, model, {"x": values(2, 3, 8, 8)})


def test_values_go_back_to_where_a_maximum_was(tmp_path: Path) -> None:
    nodes = [
        node("MaxPool", ["x"], ["p", "where"], kernel_shape=[2, 2], strides=[2, 2]),
        node("Relu", ["p"], ["r"]),
        node("MaxUnpool", ["r", "where"], ["y"], kernel_shape=[2, 2], strides=[2, 2]),
    ]
    x = values(2, 3, 8, 8)
    blocks = x.reshape(2, 3, 4, 2, 4, 2)
    kept = (blocks == blocks.max(axis=(3, 5), keepdims=True)).reshape(x.shape)
    model = make_model(nodes)
    assert [block.type for block in read(tmp_path, model).netfile.layers] == ["Pooling", "ReLU", "MaxUnpool"]
    assert_agrees(tmp_path, model, {"x": x}, np.where(kept, np.maximum(x, 0), 0))


def test_the_branch_of_a_constant_condition_is_taken(tmp_path: Path) -> None:
    from onnx import helper

    def branch(kind: str) -> Any:
        return helper.make_graph([node(kind, ["r"], [f"{kind}_out"])], kind, [], [_value(f"{kind}_out")])

    def _value(name: str) -> Any:
        return helper.make_tensor_value_info(name, 1, None)

    for condition, kind in ((True, "Tanh"), (False, "Sigmoid")):
        choice = node("If", ["c"], ["y"], then_branch=branch("Tanh"), else_branch=branch("Sigmoid"))
        model = make_model([node("Relu", ["x"], ["r"]), choice], {"c": np.array(condition)})
        found = [block.type for block in read(tmp_path, model).netfile.layers]
        assert found == ["ReLU", "TanH" if kind == "Tanh" else kind]
        assert_agrees(tmp_path, model)


def test_channels_are_shuffled_as_exporters_write_it(tmp_path: Path) -> None:
    """The sizes are taken apart and put together again while the batch stays open."""
    nodes = [
        node("Shape", ["x"], ["shape"]),
        node("Split", ["shape"], ["n", "c", "h", "w"], axis=0),
        node("Div", ["c", "two"], ["half"]),
        node("Concat", ["n", "two", "half", "h", "w"], ["grouped"], axis=0),
        node("Reshape", ["x", "grouped"], ["g"]),
        node("Transpose", ["g"], ["t"], perm=[0, 2, 1, 3, 4]),
        node("Concat", ["n", "c", "h", "w"], ["back"], axis=0),
        node("Reshape", ["t", "back"], ["y"]),
    ]
    model = make_model(nodes, {"two": ints(2)}, inputs={"x": ["N", 6, 4, 4]}, opset=13)
    imported = read(tmp_path, model)
    assert [block.type for block in imported.netfile.layers] == ["Reshape", "Permute", "Reshape"]
    assert imported.netfile.inputs[0].batch is None
    x = values(3, 6, 4, 4)
    shuffled = x.reshape(3, 2, 3, 4, 4).transpose(0, 2, 1, 3, 4).reshape(x.shape)
    np.testing.assert_array_equal(computed(tmp_path, model, {"x": x}, ["y"])["y"], shuffled)
