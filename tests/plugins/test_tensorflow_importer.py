"""TensorFlow's graphs: each kind of node against NumPy in TensorFlow's own axes, and published models."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from channels_last_suite import nhwc
from cnnrt import Net, convert
from cnnrt.errors import ImportFailure
from cnnrt_import_tensorflow.conformance import (
    Called,
    Shape,
    TensorFlowSuite,
    Type,
    constants,
    field,
    function,
    image_input,
    node,
    saved_model,
    shape_message,
    write_saved_model,
    write_variables,
)
from cnnrt_import_tensorflow.importer import TensorFlowImporter

Array = np.ndarray[Any, np.dtype[Any]]


class TestConformance(TensorFlowSuite):
    """What every importer has to hold."""


def values(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def numbers(*values: int) -> Array:
    return np.array(values, np.int32)


def outcome(tmp_path: Path, graph: bytes, images: Array) -> dict[str, Array]:
    """Convert a graph and compute all its outputs for images in TensorFlow's axes."""
    file = tmp_path / "graph.pb"
    file.write_bytes(graph)
    converted = convert(file, tmp_path / "net")
    with Net(converted.netfile, execution_mode="sequential") as net:
        result = net.compute(nhwc.to_nchw(images))
        return result if isinstance(result, dict) else {"": result}


def problems(tmp_path: Path, graph: bytes) -> str:
    file = tmp_path / "graph.pb"
    file.write_bytes(graph)
    with pytest.raises(ImportFailure) as caught:
        TensorFlowImporter().read([file])
    return str(caught.value)


def agrees(got: Array, wanted: Array) -> None:
    wanted = nhwc.to_nchw(wanted)
    assert got.shape == wanted.shape
    assert np.abs(got - wanted).max() <= 1e-5 * np.abs(wanted).max()


K = values(3, 2, 3, 4, seed=1)
IMAGE = values(2, 7, 6, 3)
FLAT = {"shape": numbers(-1, 126), "matrix": values(126, 5, seed=2)}
BN = {n: values(3, seed=s) ** 2 + 0.5 for s, n in enumerate(("gamma", "beta", "mean", "variance"), start=3)}

Case = tuple[bytes, Callable[[Array], Array]]
CASES: dict[str, Case] = {
    "convolution, SAME with a stride: the odd pixel of padding is at the end": (
        constants({"k": K}) + node("Conv2D", "y", "x", "k", strides=[1, 2, 2, 1], padding="SAME"),
        lambda x: nhwc.conv(x, K, (2, 2)),
    ),
    "convolution, VALID with gaps": (
        constants({"k": K})
        + node("Conv2D", "y", "x", "k", strides=[1, 1, 1, 1], padding="VALID", dilations=[1, 2, 1, 1]),
        lambda x: nhwc.conv(x, K, padding="VALID", dilation=(2, 1)),
    ),
    "convolution with explicit padding": (
        constants({"k": K})
        + node(
            "Conv2D",
            "y",
            "x",
            "k",
            strides=[1, 1, 1, 1],
            padding="EXPLICIT",
            explicit_paddings=[0, 0, 1, 2, 0, 1, 0, 0],
        ),
        lambda x: nhwc.conv(np.pad(x, ((0, 0), (1, 2), (0, 1), (0, 0))), K, padding="VALID"),
    ),
    "convolution with gaps as three nodes": (
        constants(
            {"k": K, "b": numbers(2, 2), "p": numbers(2, 3, 1, 1).reshape(2, 2), "c": numbers(0, 1, 0, 0).reshape(2, 2)}
        )
        + node("SpaceToBatchND", "s", "x", "b", "p")
        + node("Conv2D", "conv", "s", "k", strides=[1, 1, 1, 1], padding="VALID")
        + node("BatchToSpaceND", "y", "conv", "b", "c"),
        lambda x: nhwc.conv(np.pad(x, ((0, 0), (2, 3), (1, 1), (0, 0))), K, padding="VALID", dilation=(2, 2))[:, :-1],
    ),
    "depthwise convolution with two kernels for each channel": (
        constants({"k": K[..., :2]})
        + node("DepthwiseConv2dNative", "y", "x", "k", strides=[1, 2, 2, 1], padding="SAME"),
        lambda x: nhwc.depthwise(x, K[..., :2], (2, 2)),
    ),
    "transposed convolution, SAME": (
        constants({"k": K.transpose(0, 1, 3, 2), "s": numbers(1, 14, 11, 4)})
        + node("Conv2DBackpropInput", "y", "s", "k", "x", strides=[1, 2, 2, 1], padding="SAME"),
        lambda x: nhwc.deconv(x, K.transpose(0, 1, 3, 2), (2, 2), (14, 11), "SAME"),
    ),
    "sums along rows, axes kept": (
        constants({"axes": numbers(1)}) + node("Sum", "y", "x", "axes", keep_dims=True),
        lambda x: x.sum(1, keepdims=True),
    ),
    "pooling by maximum, SAME": (
        node("MaxPool", "y", "x", ksize=[1, 3, 2, 1], strides=[1, 2, 2, 1], padding="SAME"),
        lambda x: nhwc.max_pool(x, (3, 2), (2, 2), "SAME"),
    ),
    "pooling by mean, SAME: padding does not count": (
        node("AvgPool", "y", "x", ksize=[1, 3, 3, 1], strides=[1, 2, 2, 1], padding="SAME"),
        lambda x: nhwc.mean_pool(x, (3, 3), (2, 2), "SAME"),
    ),
    "a flattened image before a matrix": (
        constants(FLAT) + node("Reshape", "f", "x", "shape") + node("MatMul", "y", "f", "matrix"),
        lambda x: x.reshape(2, -1) @ FLAT["matrix"],
    ),
    "a flattened image, activated and scaled value by value, before a matrix": (
        constants({**FLAT, "w": values(126, seed=5)})
        + node("Reshape", "f", "x", "shape")
        + node("Mul", "m", "f", "w")
        + node("Relu", "r", "m")
        + node("MatMul", "y", "r", "matrix"),
        lambda x: np.maximum(x.reshape(2, -1) * values(126, seed=5), 0) @ FLAT["matrix"],
    ),
    "a flattened image as the result keeps TensorFlow's order": (
        constants(FLAT) + node("Reshape", "y", "x", "shape"),
        lambda x: x.reshape(2, -1),
    ),
    "a shape computed from the batch": (
        constants({"zero": numbers(0), "one": numbers(1), "rest": np.array(-1, np.int32)})
        + node("Shape", "s", "x")
        + node("StridedSlice", "n", "s", "zero", "one", "one", shrink_axis_mask=1)
        + node("Pack", "t", "n", "rest", axis=0)
        + node("Reshape", "y", "x", "t"),
        lambda x: x.reshape(2, -1),
    ),
    "boxes: pixels and anchors become one axis, with a softmax along the last": (
        constants({"k": K, "s": numbers(-1, 84, 2)})
        + node("Conv2D", "c", "x", "k", strides=[1, 1, 1, 1], padding="SAME")
        + node("Reshape", "r", "c", "s")
        + node("Softmax", "y", "r"),
        lambda x: nhwc.softmax(nhwc.conv(x, K).reshape(2, 84, 2)),
    ),
    "a transpose there and back, around a sum": (
        constants({"there": numbers(0, 3, 1, 2), "back": numbers(0, 2, 3, 1)})
        + node("Transpose", "t", "x", "there")
        + node("AddV2", "a", "t", "t")
        + node("Transpose", "y", "a", "back"),
        lambda x: x + x,
    ),
    "batch normalisation": (
        constants(BN) + node("FusedBatchNormV3", "y", "x", *BN, epsilon=0.01, is_training=False),
        lambda x: (x - BN["mean"]) / np.sqrt(BN["variance"] + 0.01) * BN["gamma"] + BN["beta"],
    ),
    "limits": (
        constants({"low": np.array(-0.5, np.float32), "high": np.array(0.25, np.float32)})
        + node("Maximum", "m", "x", "low")
        + node("Minimum", "y", "m", "high"),
        lambda x: np.clip(x, -0.5, 0.25),
    ),
    "constants on the left of a difference, and a quotient": (
        constants({"c": values(3, seed=8), "d": np.array(4, np.float32)})
        + node("Sub", "s", "c", "x")
        + node("RealDiv", "y", "s", "d"),
        lambda x: (values(3, seed=8) - x) / 4,
    ),
    "a constant for each row and column": (
        constants({"c": values(7, 6, 1, seed=8)}) + node("Mul", "y", "x", "c"),
        lambda x: x * values(7, 6, 1, seed=8),
    ),
    "squeeze and excitation: one factor for each channel of each image": (
        constants({"a": numbers(1, 2), "m": values(3, 3, seed=9), "s": numbers(-1, 1, 1, 3)})
        + node("Mean", "mean", "x", "a", keep_dims=False)
        + node("MatMul", "f", "mean", "m")
        + node("Sigmoid", "g", "f")
        + node("Reshape", "w", "g", "s")
        + node("Mul", "y", "x", "w"),
        lambda x: x / (1 + np.exp(-x.mean((1, 2)) @ values(3, 3, seed=9)))[:, None, None],
    ),
    "concatenation of channels, and of rows": (
        constants({"three": np.array(3, np.int32), "one": np.array(-3, np.int32)})
        + node("ConcatV2", "c", "x", "x", "three")
        + node("ConcatV2", "y", "c", "c", "one"),
        lambda x: np.concatenate([np.concatenate([x, x], 3)] * 2, 1),
    ),
    "padding": (
        constants({"p": numbers(0, 0, 1, 2, 0, 1, 0, 0).reshape(4, 2)}) + node("Pad", "y", "x", "p"),
        lambda x: np.pad(x, ((0, 0), (1, 2), (0, 1), (0, 0))),
    ),
    "a region with a stride": (
        constants({"a": numbers(0, 1, 0, 0), "b": numbers(0, 7, -1, 2), "c": numbers(1, 2, 1, 1)})
        + node("StridedSlice", "y", "x", "a", "b", "c", begin_mask=1, end_mask=1),
        lambda x: x[:, 1:7:2, 0:-1, 0:2],
    ),
    "resizing by the nearest pixel, half pixels": (
        constants({"size": numbers(14, 3)}) + node("ResizeNearestNeighbor", "y", "x", "size", half_pixel_centers=True),
        lambda x: x.repeat(2, 1)[:, :, [1, 3, 5]],
    ),
    "the place of the largest value": (
        constants({"axis": np.array(3, np.int32), "m": values(6, 2, seed=3), "s": numbers(-1, 7, 6)})
        + node("ArgMax", "a", "x", "axis")
        + node("MatMul", "y", "a", "m"),
        lambda x: x.argmax(3) @ values(6, 2, seed=3),
    ),
    "depth to space": (
        constants({"axis": np.array(3, np.int32)})
        + node("ConcatV2", "c", "x", "x", "x", "x", "axis")
        + node("DepthToSpace", "y", "c", block_size=2),
        lambda x: x.repeat(2, 1).repeat(2, 2),
    ),
    "a constant that repeats the value": (
        constants({"axis": numbers(3), "c": values(3, seed=8)})
        + node("Max", "m", "x", "axis", keep_dims=True)
        + node("Mul", "y", "m", "c"),
        lambda x: x.max(3, keepdims=True) * values(3, seed=8),
    ),
    "the square of a difference": (
        node("Relu", "r", "x") + node("SquaredDifference", "y", "r", "x"),
        lambda x: np.minimum(x, 0) ** 2,
    ),
    "pieces of channels": (
        constants({"axis": np.array(3, np.int32)})
        + node("Split", "s", "axis", "x", num_split=3)
        + node("Sub", "y", "s:2", "s"),
        lambda x: x[..., 2:3] - x[..., 0:1],
    ),
    "activations in a row": (
        node("Elu", "e", "x")
        + node("Softplus", "s", "e")
        + node("Tanh", "t", "s")
        + node("LeakyRelu", "l", "t", alpha=0.3)
        + node("Square", "y", "l"),
        lambda x: np.tanh(np.log1p(np.exp(np.where(x > 0, x, np.expm1(x))))) ** 2,
    ),
    "a convolution of one dimension, as TensorFlow writes it": (
        constants({"k": K[:1], "rows": numbers(1), "axis": np.array(1, np.int32)})
        + node("Mean", "m", "x", "rows")
        + node("ExpandDims", "e", "m", "axis")
        + node("Conv2D", "c", "e", "k", strides=[1, 1, 1, 1], padding="SAME")
        + node("Squeeze", "s", "c", squeeze_dims=[1])
        + node("Relu", "y", "s"),
        lambda x: np.maximum(nhwc.conv(x.mean(1, keepdims=True), K[:1])[:, 0], 0),
    ),
    "a GELU that is written out": (
        constants({n: np.array(v, np.float32) for n, v in (("half", 0.5), ("root", 2**-0.5), ("one", 1))})
        + node("Mul", "z", "x", "root")
        + node("Erf", "e", "z")
        + node("AddV2", "s", "one", "e")
        + node("Mul", "h", "half", "x")
        + node("Mul", "y", "h", "s"),
        lambda x: 0.5 * x * (1 + np.vectorize(math.erf)(x / 2**0.5)),
    ),
    "response normalisation: alpha is not divided": (
        node("LRN", "y", "x", depth_radius=1, bias=1.5, alpha=0.2, beta=0.6),
        lambda x: x / (1.5 + 0.2 * (nhwc.conv(x * x, np.tri(3, 3, 1)[None, None] * np.tri(3, 3, 1).T))) ** 0.6,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_graph_computes_what_tensorflow_defines(tmp_path: Path, name: str) -> None:
    graph, wanted = CASES[name]
    (got,) = outcome(tmp_path, image_input("x", *IMAGE.shape[1:]) + graph, IMAGE).values()
    agrees(got, wanted(IMAGE))


def test_a_graph_that_keeps_channels_first(tmp_path: Path) -> None:
    graph = (
        image_input("x", 3, 7, 6)
        + constants({"k": K, "b": values(4, seed=2), "s": numbers(-1, 48), "m": values(48, 2, seed=3)})
        + node("Conv2D", "c", "x", "k", strides=[1, 1, 2, 2], padding="SAME", data_format="NCHW")
        + node("BiasAdd", "b1", "c", "b", data_format="NCHW")
        + node("Reshape", "f", "b1", "s")
        + node("MatMul", "y", "f", "m")
    )
    (got,) = outcome(tmp_path, graph, IMAGE).values()
    features = nhwc.to_nchw(nhwc.conv(IMAGE, K, (2, 2)) + values(4, seed=2)).reshape(2, 48)
    agrees(got, features @ values(48, 2, seed=3))


def test_what_is_normalised_and_limited_in_many_nodes_is_few_layers(tmp_path: Path) -> None:
    (_, residual, _) = TensorFlowSuite().models(tmp_path)
    model = TensorFlowImporter().read(residual)
    assert [block.type for block in model.netfile.layers] == [
        "Convolution",
        "Scale",
        "Clip",
        "Eltwise",
        "Pooling",
        "Flatten",
    ]
    assert [b.name for b in model.netfile.layers][1:3] == ["normal", "relu6"]


def test_zeros_around_an_image_become_the_convolutions_padding(tmp_path: Path) -> None:
    graph = (
        image_input("x", 7, 6, 3)
        + constants({"p": numbers(0, 0, 0, 1, 0, 1, 0, 0).reshape(4, 2), "k": K})
        + node("Pad", "pad", "x", "p")
        + node("Conv2D", "y", "pad", "k", strides=[1, 2, 2, 1], padding="VALID")
    )
    (got,) = outcome(tmp_path, graph, IMAGE).values()
    agrees(got, nhwc.conv(np.pad(IMAGE, ((0, 0), (0, 1), (0, 1), (0, 0))), K, (2, 2), "VALID"))
    (layer,) = TensorFlowImporter().read([tmp_path / "graph.pb"]).netfile.layers
    assert layer.keys == {"pad": (0, 0, 1, 1), "stride": 2}


def test_rows_and_columns_that_are_open_stay_open(tmp_path: Path) -> None:
    graph = (
        image_input("x", None, None, 3)
        + constants({"k": K, "axes": numbers(1, 2)})
        + node("Conv2D", "c", "x", "k", strides=[1, 1, 1, 1], padding="SAME")
        + node("Mean", "y", "c", "axes", keep_dims=False)
    )
    (got,) = outcome(tmp_path, graph, IMAGE).values()
    agrees(got, nhwc.conv(IMAGE, K).mean((1, 2)))


def test_all_that_stands_in_the_way_is_named_at_once(tmp_path: Path) -> None:
    graph = (
        image_input("x", 7, None, 3)
        + constants({"k": K})
        + node("Conv2D", "c", "x", "k", strides=[1, 1, 2, 1], padding="SAME")
        + node("Relu7", "r", "c")
        + node("NonMaxSuppressionV3", "nms1", "r")
        + node("NonMaxSuppressionV3", "nms2", "x")
        + node("Softmax", "y", "gone")
    )
    said = problems(tmp_path, graph)
    assert 'node "c" (Conv2D): padding SAME with a stride depends on the size of the image' in said
    assert 'Relu7 is not supported: node "r"' in said
    assert "the nearest that is supported is Relu" in said
    assert 'NonMaxSuppressionV3 is not supported: nodes "nms1", "nms2"' in said
    assert 'node "y": nothing gives its input "gone"' in said


@pytest.mark.parametrize(
    ("graph", "said"),
    [
        (node("Relu", "a", "b") + node("Relu", "b", "a") + node("Relu", "y", "a"), "which depends on it"),
        (
            image_input("x", 4, 4, 3) + node("Transpose", "y", "x", "o") + constants({"o": numbers(1, 0, 2, 3)}),
            "move the batch",
        ),
        (
            image_input("x", 4, 4, 3) + node("Reshape", "y", "x", "s") + constants({"s": numbers(-1, 4)}),
            "joins or divides the items",
        ),
        (
            node("Placeholder", "x", dtype=Type(10), shape=Shape([])) + node("Relu", "y", "x"),
            "an input that holds no numbers",
        ),
    ],
)
def test_what_cannot_be_done_is_said(tmp_path: Path, graph: bytes, said: str) -> None:
    assert said in problems(tmp_path, graph)


def test_a_constant_that_promises_more_than_it_holds(tmp_path: Path) -> None:
    large = field(1, 1) + field(2, shape_message([1 << 20, 1 << 20])) + field(4, bytes(4))
    entry = field(5, field(1, b"value") + field(2, field(8, large)))
    graph = (
        image_input("x", 2, 2, 3) + field(1, field(1, b"c") + field(2, b"Const") + entry) + node("Mul", "y", "x", "c")
    )
    assert 'node "c" (Const): its constant cannot be read' in problems(tmp_path, graph)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "the file is empty"),
        (b"node {\n name: 'x'\n}", "a graph written as text"),
        (b"\x89HDF\r\n\x1a\n" + bytes(40), "an HDF5 file"),
        (bytes(range(200)), "not a readable graph"),
    ],
)
def test_files_that_are_something_else(tmp_path: Path, content: bytes, said: str) -> None:
    assert said in problems(tmp_path, content)


def saved_problems(file: Path) -> str:
    with pytest.raises(ImportFailure) as caught:
        TensorFlowImporter().read([file])
    return str(caught.value)


def test_a_saved_model_of_functions_whose_variables_have_other_names_in_the_checkpoint(tmp_path: Path) -> None:
    converted = convert(write_saved_model(tmp_path / "saved"), tmp_path / "net")
    random = np.random.default_rng(2)
    kernels, shift = (random.standard_normal(shape).astype(np.float32) for shape in ((3, 3, 3, 2), (2,)))
    images = values(2, 5, 4, 3)
    with Net(converted.netfile, execution_mode="sequential") as net:
        agrees(net.compute(nhwc.to_nchw(images)), np.maximum(nhwc.conv(images, kernels) + shift, 0))
        assert [block.name for block in net.netfile.layers] == ["block/bias", "r"]


def test_a_saved_model_of_tensorflow_1(tmp_path: Path) -> None:
    """Variables are called by their nodes; many keys share what they begin with."""
    write_variables(tmp_path / "variables", {"conv/kernel": K, "conv/kernel/Momentum": K + 1, "conv/other": K})
    graph = (
        image_input("x", 7, 6, 3)
        + node("VariableV2", "conv/kernel", dtype=Type(1))
        + node("Identity", "conv/kernel/read", "conv/kernel")
        + node("Conv2D", "y", "x", "conv/kernel/read", strides=[1, 1, 1, 1], padding="SAME")
    )
    file = tmp_path / "saved_model.pb"
    file.write_bytes(saved_model(graph, "y:0"))
    with Net(convert(file, tmp_path / "net").netfile, execution_mode="sequential") as net:
        agrees(net.compute(nhwc.to_nchw(IMAGE)), nhwc.conv(IMAGE, K))


def test_what_is_wrong_with_variables_is_said(tmp_path: Path) -> None:
    file = write_saved_model(tmp_path / "saved")
    folder = file.parent / "variables"
    data, index = folder / "variables.data-00000-of-00001", folder / "variables.index"
    stored = data.read_bytes()
    data.write_bytes(stored[:-4])
    assert 'its variable "layer-0/shift" cannot be read: 8 bytes from byte' in saved_problems(file)
    data.unlink()
    assert "variables.data-00000-of-00001 cannot be read" in saved_problems(file)
    index.write_bytes(index.read_bytes()[:-1])
    assert "not an index of variables" in saved_problems(file)
    index.unlink()
    said = saved_problems(file)
    assert "VarHandleOp is not supported" in said
    assert "give the saved_model.pb with its folder `variables` beside it" in said


def test_functions_that_call_themselves_are_refused(tmp_path: Path) -> None:
    again = function("f", ["a"], node("PartitionedCall", "g", "a", f=Called("f")), {"z": "g:output:0"})
    graph = image_input("x", 4, 4, 3) + node("PartitionedCall", "y", "x", f=Called("f"))
    (tmp_path / "graph.pb").write_bytes(saved_model(graph, "y:0", again))
    assert "functions that call one another in more than" in saved_problems(tmp_path / "graph.pb")


def test_reading_and_resizing_an_image_file_is_left_to_the_caller(tmp_path: Path) -> None:
    """As in the graphs of Inception of 2015, which subtract and scale the mean themselves."""
    graph = (
        node("Placeholder", "contents", dtype=Type(7), shape=Shape([]))
        + constants({"size": numbers(6, 5), "zero": np.array(0, np.int32), "mean": np.array(128, np.float32)})
        + constants({"factor": np.array(0.25, np.float32), "k": K})
        + node("DecodeJpeg", "jpeg", "contents")
        + node("Cast", "cast", "jpeg", DstT=Type(1))
        + node("ExpandDims", "batch", "cast", "zero")
        + node("ResizeBilinear", "resized", "batch", "size")
        + node("Sub", "sub", "resized", "mean")
        + node("Mul", "mul", "sub", "factor")
        + node("Conv2D", "y", "mul", "k", strides=[1, 1, 1, 1], padding="SAME")
    )
    images = values(2, 6, 5, 3)
    (got,) = outcome(tmp_path, graph, images).values()
    agrees(got, nhwc.conv((images - 128) * 0.25, K))
    (given,) = TensorFlowImporter().read([tmp_path / "graph.pb"]).netfile.inputs
    assert (given.name, given.shape) == ("resized", (3, 6, 5))


def test_keyword_spotting_of_speech_commands(tmp_path: Path, shared_folder: Path) -> None:
    """The audio front end is left to the caller, so the network begins with the features."""
    folder = shared_folder / "models" / "tf-kws-cnn-s"
    converted = convert(folder / "CNN_S.pb", tmp_path / "kws")
    assert any("Mfcc" in note for note in converted.notes)
    reference = np.load(folder / "reference.npz")
    with Net(converted.netfile, execution_mode="sequential") as net:
        got = net.compute(reference["input"], outputs=["Relu", "Relu_1", "add_2", "add_4", "labels_softmax"])
    for name, value in got.items():
        assert np.abs(value - reference[name]).max() <= 1e-5 * np.abs(reference[name]).max()
    assert got["labels_softmax"].argmax() == 7  # "right"


def test_mobilenet_features(tmp_path: Path, shared_folder: Path) -> None:
    """Batch normalisation and ReLU6 as arithmetic. Its variances reach down to 1e-35.

    TensorFlow's own float32 differs from float64 by 1.2e-5 of the largest value there.
    """
    folder = shared_folder / "models" / "tf-mobilenet025-features"
    converted = convert(folder / "mnet.pb", tmp_path / "mnet")
    reference = np.load(folder / "reference.npz")
    names = {"conv1_relu/clip_by_value": 1e-5, "conv_pw_13_relu/clip_by_value": 2e-5}
    with Net(converted.netfile, execution_mode="sequential") as net:
        got = net.compute(reference["input"], outputs=list(names))
    for name, bound in names.items():
        wanted = reference[name.replace("/", "__")]
        assert np.abs(got[name] - wanted).max() <= bound * np.abs(wanted).max()
