"""ONNX's convolutions and poolings, against onnx's own evaluator."""

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
