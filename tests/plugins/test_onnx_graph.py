"""The walk over a graph: names, wiring, what is left out, and everything unsupported at once."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from cnnrt import Net
from netfile_spec import write_model
from onnx_suite.small_models import (
    assert_agrees,
    computed,
    expected,
    layers,
    make_model,
    node,
    problems,
    read,
    statistics,
    values,
)

W = values(4, 3, 3, 3, seed=1)


def test_layers_are_named_after_nodes_and_their_values_are_tops(tmp_path: Path) -> None:
    nodes = [node("Relu", ["x"], ["first"], name="/net/Relu"), node("Relu", ["first"], ["second"])]
    found = layers(tmp_path, make_model(nodes))
    assert {name: block.tops for name, block in found.items()} == {"/net/Relu": ("first",), "second": None}
    got = computed(tmp_path, make_model(nodes), {"x": values(1, 3, 8, 8)}, ["/net/Relu", "first", "second"])
    np.testing.assert_array_equal(got["/net/Relu"], got["first"])


def test_names_are_made_unique_and_a_note_says_so(tmp_path: Path) -> None:
    nodes = [
        node("Relu", ["x"], ["a"], name="same"),
        node("Relu", ["a"], ["b"], name="same"),
        node("Relu", ["b"], ["y"], name="x"),
    ]
    imported = read(tmp_path, make_model(nodes))
    assert [block.name for block in imported.netfile.layers] == ["same", "same_2", "x_2"]
    assert [block.tops for block in imported.netfile.layers] == [("a",), ("b",), ("y",)]
    assert imported.notes[0] == 'the name "same" is taken or too long: here it is "same_2"'


def test_a_value_that_is_called_like_another_node_is_no_top(tmp_path: Path) -> None:
    nodes = [node("Relu", ["x"], ["b"], name="a"), node("LeakyRelu", ["b"], ["y"], name="b")]
    imported = read(tmp_path, make_model(nodes))
    assert [(block.name, block.tops) for block in imported.netfile.layers] == [("a", None), ("b", ("y",))]
    assert_agrees(tmp_path, make_model(nodes))


def test_strange_names_survive(tmp_path: Path) -> None:
    name = 'a "quoted"\\ name\nof two lines \u2603'
    nodes = [node("Conv", ["x", "w"], ["y"], name=name)]
    imported = read(tmp_path, make_model(nodes, {"w": W}))
    with Net(write_model(tmp_path / "net", imported.netfile, imported.parameters)) as net:
        assert [n.name for n in net.graph.nodes] == [name]


def test_a_chain_states_no_bottoms_and_a_branch_does(tmp_path: Path) -> None:
    nodes = [
        node("Relu", ["x"], ["a"]),
        node("LeakyRelu", ["a"], ["b"]),
        node("Relu", ["a"], ["c"]),
        node("Add", ["b", "c"], ["y"]),
    ]
    found = layers(tmp_path, make_model(nodes))
    assert [block.bottoms for block in found.values()] == [None, None, ("a",), ("b", "c")]
    assert_agrees(tmp_path, make_model(nodes))


def test_identities_are_other_names_of_what_they_copy(tmp_path: Path) -> None:
    nodes = [
        node("Relu", ["x"], ["a"], name="relu"),
        node("Identity", ["a"], ["b"]),
        node("Identity", ["b"], ["answer"]),
    ]
    found = layers(tmp_path, make_model(nodes))
    assert {name: block.tops for name, block in found.items()} == {"relu": ("answer",)}
    assert_agrees(tmp_path, make_model(nodes))


def test_several_inputs_and_outputs(tmp_path: Path) -> None:
    nodes = [
        node("Conv", ["left", "w"], ["a"]),
        node("Relu", ["right"], ["b"]),
        node("GlobalAveragePool", ["b"], ["c"]),
    ]
    inputs = {"left": ["N", 3, 8, 8], "right": ["N", 2, 5, 5]}
    model = make_model(nodes, {"w": W}, inputs=inputs, outputs=["a", "c"])
    imported = read(tmp_path, model)
    assert [(i.name, i.shape) for i in imported.netfile.inputs] == [("left", (3, 8, 8)), ("right", (2, 5, 5))]
    assert imported.netfile.layers[1].bottoms == ("right",)
    assert_agrees(tmp_path, model, {"left": values(2, 3, 8, 8), "right": values(2, 2, 5, 5)})


def test_an_output_that_others_read_is_mentioned(tmp_path: Path) -> None:
    nodes = [node("Relu", ["x"], ["a"]), node("Relu", ["a"], ["y"])]
    notes = read(tmp_path, make_model(nodes, outputs=["a", "y"])).notes
    assert notes == ('the output "a" is also read by other layers; ask for it by name: outputs=[...]',)


def test_what_no_output_needs_is_left_out_whatever_it_is(tmp_path: Path) -> None:
    nodes = [node("Relu", ["x"], ["y"]), node("NonMaxSuppression", ["aside", "y"], ["boxes"])]
    model = make_model(nodes, inputs={"x": ["N", 3, 8, 8], "aside": ["N", 4]}, outputs=["y"])
    imported = read(tmp_path, model)
    assert [block.name for block in imported.netfile.layers] == ["y"]
    assert imported.notes == ('the input "aside" is left out: no output depends on it',)


@pytest.mark.parametrize("bias", [(4, 1, 1), (1, 4, 1, 1), (1,), ()])
def test_a_constant_added_to_a_convolution_is_its_bias(tmp_path: Path, bias: tuple[int, ...]) -> None:
    nodes = [node("Conv", ["x", "w"], ["a"], name="conv"), node("Add", ["c", "a"], ["y"], name="plus")]
    model = make_model(nodes, {"w": W, "c": values(*bias)})
    (block,) = read(tmp_path, model).netfile.layers
    assert (block.name, block.tops) == ("conv", ("y",))
    assert_agrees(tmp_path, model)


def test_a_constant_is_added_to_the_bias_that_is_there(tmp_path: Path) -> None:
    nodes = [
        node("Conv", ["x", "w", "b"], ["a"]),
        node("Identity", ["a"], ["same"]),
        node("Add", ["same", "c"], ["y"]),
    ]
    model = make_model(nodes, {"w": W, "b": values(4), "c": values(4, 1, 1, seed=5)})
    assert len(layers(tmp_path, model)) == 1
    assert_agrees(tmp_path, model)


@pytest.mark.parametrize("added", [(8, 8), (4, 8, 8)])
def test_a_constant_that_is_no_bias_is_added_by_a_layer(tmp_path: Path, added: tuple[int, ...]) -> None:
    nodes = [node("Conv", ["x", "w"], ["a"], pads=[1, 1, 1, 1]), node("Add", ["a", "c"], ["y"])]
    model = make_model(nodes, {"w": W, "c": values(*added)})
    assert [block.type for block in layers(tmp_path, model).values()] == ["Convolution", "Constant", "Eltwise"]
    assert_agrees(tmp_path, model)


@pytest.mark.parametrize("added", [(4,), (3, 1, 1)])
def test_a_constant_that_fits_nothing_is_refused(tmp_path: Path, added: tuple[int, ...]) -> None:
    nodes = [node("Conv", ["x", "w"], ["a"], pads=[1, 1, 1, 1]), node("Add", ["a", "c"], ["y"])]
    (problem,) = problems(tmp_path, make_model(nodes, {"w": W, "c": values(*added)}))
    assert problem.startswith('node "y" (Add): expected inputs of shapes that fit')


@pytest.mark.parametrize("added", [(2, 4, 1, 1), (1, 1, 4, 1, 1)])
def test_a_constant_with_a_batch_of_its_own_fixes_that_of_the_network(tmp_path: Path, added: tuple[int, ...]) -> None:
    nodes = [node("Conv", ["x", "w"], ["a"], pads=[1, 1, 1, 1]), node("Add", ["a", "c"], ["y"])]
    model = make_model(nodes, {"w": W, "c": values(*added)}, inputs={"x": [1, 3, 8, 8]})
    imported = read(tmp_path, model)
    assert imported.netfile.inputs[0].batch == 1
    assert_agrees(tmp_path, model, {"x": values(1, 3, 8, 8)})


@pytest.mark.parametrize("outputs", [["y", "r"], ["y", "a"]])
def test_a_convolution_that_others_read_keeps_its_bias_to_itself(tmp_path: Path, outputs: list[str]) -> None:
    nodes = [node("Conv", ["x", "w"], ["a"]), node("Relu", ["a"], ["r"]), node("Add", ["a", "c"], ["y"])]
    model = make_model(nodes, {"w": W, "c": values(4, 1, 1)}, outputs=outputs)
    assert layers(tmp_path, model)["y"].type == "Scale"
    assert_agrees(tmp_path, model)


def test_layers_with_the_same_constants_share_their_parameter_file(tmp_path: Path) -> None:
    nodes = [
        node("Conv", ["x", "w"], ["a"], pads=[1, 1, 1, 1]),
        node("Conv", ["x", "w"], ["b"], pads=[1, 1, 1, 1], strides=[1, 1]),
        node("Conv", ["x", "w", "c"], ["d"], pads=[1, 1, 1, 1]),
        node("Sum", ["a", "b", "d"], ["y"]),
    ]
    model = make_model(nodes, {"w": W, "c": values(4)})
    imported = read(tmp_path, model)
    assert imported.parameters["a"] is imported.parameters["b"]
    assert imported.parameters["a"] is not imported.parameters["d"]
    assert_agrees(tmp_path, model)


def test_everything_unsupported_is_named_at_once(tmp_path: Path) -> None:
    nodes = [
        node("Loop", ["x"], ["a"], name="six"),
        node("Convv", ["a", "w"], ["b"]),
        node("Conv", ["b", "w"], ["c"], pads=[-1, 0, 0, 0]),
        node("FusedConv", ["c", "w"], ["d"], domain="com.microsoft"),
        node("Mine", ["d"], ["e"], domain="my.own"),
        *[node("LSTM", [f"t{i}"], [f"t{i + 1}"]) for i in range(14)],
        node("Concat", ["e", "t14"], ["y"], axis=1),
    ]
    nodes.insert(5, node("Relu", ["x"], ["t0"]))
    found = problems(tmp_path, make_model(nodes, {"w": W}))
    assert found[0] == 'node "c" (Conv): pads [-1, 0, 0, 0] | at least 0 each'
    assert found[1].startswith('Loop is not supported: node "six" | what is only chosen while a network runs')
    assert found[2] == 'Convv is not supported: node "b" | did you mean Conv?'
    assert found[3].startswith('FusedConv of "com.microsoft" is not supported: node "d" | it was made by an optimiser')
    assert found[4].startswith('Mine of "my.own" is not supported: node "e" | only the operators of ONNX itself')
    assert found[5].startswith('LSTM is not supported: nodes "t1", "t2", ')
    assert '"t12" and 2 more | one of Abs, Acos' in found[5]
    assert len(found) == 6


def test_one_cause_is_one_problem(tmp_path: Path) -> None:
    """What depends on a node that is a problem is not judged by what that node would have given."""
    nodes = [
        node("LSTM", ["x"], ["a"]),
        node("Flatten", ["a"], ["flat"], axis=-3),
        node("Gemm", ["flat", "m"], ["g"]),
        node("Add", ["g", "a"], ["s"]),
        node("Add", ["a", "c"], ["t"]),
        node("Reshape", ["a", "shape"], ["r"]),
        node("Softmax", ["r"], ["p"]),
        node("Concat", ["s", "t", "p"], ["y"], axis=-1),
    ]
    weights = {"m": values(5, 5), "c": values(3), "shape": np.array([3, 3], np.int64)}
    (problem,) = problems(tmp_path, make_model(nodes, weights, opset=12))
    assert problem.startswith("LSTM is not supported")


@pytest.mark.parametrize(
    ("nodes", "complaint"),
    [
        ([node("Relu", ["b"], ["y"]), node("Relu", ["x"], ["b"])], 'nothing before it gives its input "b"'),
        ([node("Relu", ["nowhere"], ["y"])], 'nothing before it gives its input "nowhere"'),
        ([node("Relu", ["y"], ["y"])], 'nothing before it gives its input "y"'),
        ([node("Relu", ["x"], ["y"]), node("Relu", ["x"], ["y"])], 'the value "y" is there already'),
        ([node("Relu", ["x"], ["x"]), node("Relu", ["x"], ["y"])], 'the value "x" is there already'),
        ([node("Relu", [], ["y"])], "0 inputs | 1"),
        ([node("Relu", ["x", "x"], ["y"])], "2 inputs | 1"),
        ([node("Conv", ["x"], ["y"])], "1 inputs | 2 to 3"),
        ([node("Conv", ["x", "", "x"], ["y"])], "the weights is left out"),
        ([node("Add", ["x", "", "x"], ["y"])], "3 inputs | 2"),
        ([node("Sum", ["x", "", "x"], ["y"])], "an input is left out"),
        ([node("Relu", ["", "x"], ["y"])], "2 inputs"),
        ([node("Identity", ["x"], ["y"])], "the model computes nothing"),
        ([node("Constant", [], ["y"], value_float=1.0)], "the model computes nothing"),
        ([node("Shape", ["x"], ["y"])], "the model computes nothing"),
    ],
)
def test_graphs_that_make_no_sense(tmp_path: Path, nodes: list[Any], complaint: str) -> None:
    assert complaint in problems(tmp_path, make_model(nodes, outputs=["y"]))[0]


def test_a_network_takes_something(tmp_path: Path) -> None:
    model = make_model([node("Relu", ["w"], ["r"]), node("Softmax", ["r"], ["y"])], {"w": W}, inputs={})
    assert problems(tmp_path, model) == [
        "nothing that the model computes depends on an input | a network that takes images"
    ]


def test_a_model_must_give_its_outputs(tmp_path: Path) -> None:
    relu = [node("Relu", ["x"], ["y"])]
    assert 'no node gives the output "z"' in problems(tmp_path, make_model(relu, outputs=["y", "z"]))
    assert "the model has no outputs" in problems(tmp_path, make_model(relu, outputs=[]))


@pytest.mark.parametrize(
    ("shape", "stated", "note"),
    [
        (["N", 3, 8, 8], (3, 8, 8), None),
        ([None, 3, 8, 8], (3, 8, 8), None),
        ([16, 3, 8, 8], (3, 8, 8), None),
        ([-1, 3, 8, 8], (3, 8, 8), None),
        (["N", 3, "H", "W"], None, 'the shape of the input "x" is not fully stated'),
        (["N", 3, -1, -1], None, 'the shape of the input "x" is not fully stated'),
        (None, None, 'the shape of the input "x" is not fully stated'),
    ],
)
def test_shapes_of_inputs(tmp_path: Path, shape: Any, stated: Any, note: str | None) -> None:
    imported = read(tmp_path, make_model([node("Relu", ["x"], ["y"])], inputs={"x": shape}))
    assert imported.netfile.inputs[0].shape == stated
    assert len(imported.notes) == (note is not None)
    assert all(text.startswith(note or "") for text in imported.notes)


def test_images_of_any_size_where_the_model_leaves_it_open(tmp_path: Path) -> None:
    nodes = [
        node("Conv", ["x", "w"], ["a"], auto_pad="SAME_UPPER"),
        node("BatchNormalization", ["a", "scale", "shift", "mean", "variance"], ["b"]),
        node("MaxPool", ["b"], ["c"], kernel_shape=[2, 2], strides=[2, 2]),
        node("Concat", ["c", "c"], ["d"], axis=1),
        node("GlobalAveragePool", ["d"], ["e"]),
        node("Flatten", ["e"], ["f"]),
        node("Gemm", ["f", "m"], ["g"]),
        node("Softmax", ["g"], ["y"], axis=1),
    ]
    weights, inputs = {"w": W, "m": values(8, 5), **statistics(4)}, {"x": ["N", 3, "H", "W"]}
    # Before operator set 13 a softmax depends on the rank of its input: that much is known.
    models = [make_model(nodes, weights, inputs=inputs, opset=opset) for opset in (12, 17)]
    for size in (8, 11):
        x = values(2, 3, size, size)
        wanted = expected(models[1], {"x": x}, ["y"])["y"]
        for model in models:
            np.testing.assert_allclose(computed(tmp_path, model, {"x": x}, ["y"])["y"], wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "note"),
    [(TensorProto.FLOAT16, "FLOAT16"), (TensorProto.DOUBLE, "DOUBLE"), (TensorProto.BFLOAT16, "BFLOAT16")],
)
def test_inputs_of_other_floating_point_types_are_taken_as_float32(tmp_path: Path, kind: int, note: str) -> None:
    notes = read(tmp_path, make_model([node("Relu", ["x"], ["y"])], kind=kind)).notes
    assert notes == (f'the input "x" is of type {note}; here it is float32',)


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        (helper.make_tensor_value_info("x", TensorProto.UINT8, ["N", 3, 8, 8]), "does not hold floating-point numbers"),
        (helper.make_tensor_value_info("x", TensorProto.FLOAT, [1] * 9), "has 9 dimensions | at most 8"),
        (helper.make_tensor_sequence_value_info("x", TensorProto.FLOAT, None), "is no tensor"),
    ],
)
def test_inputs_that_are_refused(tmp_path: Path, given: Any, complaint: str) -> None:
    model = make_model([node("Relu", ["x"], ["y"])])
    model.graph.input[0].CopyFrom(given)
    assert complaint in problems(tmp_path, model)[0]


def test_constants_that_are_listed_as_inputs_are_constants(tmp_path: Path) -> None:
    """As IR version 3 demands it, and older exporters wrote it."""
    inputs = {"w": list(W.shape), "x": ["N", 3, 8, 8]}
    model = make_model([node("Conv", ["x", "w"], ["y"])], {"w": W}, inputs=inputs, ir_version=3, opset=7)
    imported = read(tmp_path, model)
    assert [block.name for block in imported.netfile.inputs] == ["x"]
    assert_agrees(tmp_path, model, {"x": values(2, 3, 8, 8)})
