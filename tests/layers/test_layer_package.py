"""The package `cnnrt_layers`: what it registers, and how its files are laid out."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import attrs
import pytest

import cnnrt_layers
from cnnrt.errors import KeyValueError
from cnnrt.layer import Layer
from cnnrt.plugins import plugin_host
from cnnrt_layers import Accuracy, Convolution, Eltwise, Pooling

FOLDER = Path(cnnrt_layers.__file__).parent
LAYERS = cnnrt_layers.cnnrt_layers()
EVERY_LAYER = pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.type)


def test_all_come_in_by_the_plugin_door() -> None:
    files = [path for path in FOLDER.glob("*.py") if "    type = " in path.read_text(encoding="utf-8")]
    assert len(LAYERS) == len(files) >= 12, "a layer's file is not in the list of the package"
    installed = plugin_host().layers()
    assert all(installed[layer.type.lower()] is layer for layer in LAYERS)


@EVERY_LAYER
def test_each_file_holds_one_layer_named_after_it(layer: type[Layer]) -> None:
    path = FOLDER / f"{layer.__module__.rpartition('.')[2]}.py"
    assert path.stem.replace("_", "") == layer.type.lower()
    classes = [node.name for node in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(node, ast.ClassDef)]
    assert classes == [layer.type]


@EVERY_LAYER
def test_layers_are_frozen_values(layer: Any) -> None:
    made = make(layer)
    assert made == make(layer)
    assert hash(made) == hash(make(layer))
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        made.type = "Other"


def test_defaults_are_those_of_cnndroid() -> None:
    """The keys that CNNdroid's NetFiles leave out, and the spellings that they use."""
    assert Convolution() == Convolution(pad=0, stride=1, group=1)
    pooling = Pooling(kernel_size=3)
    assert (pooling.pool, pooling.stride, pooling.pad) == ("max", (1, 1), (0, 0, 0, 0))
    assert {Pooling(pool=word, kernel_size=2).pool for word in ("mean", "ave", "average", "AVE")} == {"mean"}
    assert cnnrt_layers.LRN(local_size=5, alpha=1e-4, beta=0.75).norm_region == "across_channels"


@pytest.mark.parametrize(
    ("make_layer", "key", "message"),
    [
        (lambda: Convolution(group=0), "group", "expected at least 1, got 0"),
        (lambda: Convolution(pad=-1), "pad", "expected at least 0, got -1"),
        (lambda: Convolution(pad=[1, 2, 3]), "pad", "expected 1 or 2 or 4 integers, got 3"),
        (lambda: Convolution(stride=[1, 0]), "stride", "expected at least 1, got 0"),
        (lambda: Pooling(), "kernel_size", "must be stated unless global_pooling is true"),
        (lambda: Pooling(kernel_size=2, global_pooling=True), "kernel_size", "leave kernel_size out"),
        (lambda: Pooling(stride=2, global_pooling=True), "stride", "leave stride out"),
        (lambda: Pooling(pad=1, global_pooling=True), "pad", "leave pad out"),
        (lambda: Pooling(kernel_size=[3, 2], pad=[0, 2]), "pad", "must be smaller than the window, 3×2"),
        (lambda: Pooling(kernel_size=2, pool="median"), "pool", "expected one of max, mean, ave, average"),
        (
            lambda: cnnrt_layers.LRN(local_size=4),
            "local_size",
            "expected an odd number, so that it has a middle, got 4",
        ),
        (lambda: cnnrt_layers.Dropout(dropout_ratio=1.5), "dropout_ratio", "expected 0 to 1, got 1.5"),
        (lambda: cnnrt_layers.ReLU(negative_slope=float("nan")), "negative_slope", "expected a finite number"),
        (lambda: Accuracy(topk=0), "topk", "expected at least 1, got 0"),
        (lambda: Eltwise(operation="max", coeff=[1, 2]), "coeff", "only a sum has factors"),
    ],
)
def test_values_that_a_key_does_not_take(make_layer: Any, key: str, message: str) -> None:
    with pytest.raises(KeyValueError) as caught:
        make_layer()
    assert caught.value.key == key
    assert message in str(caught.value)


def test_topk_must_be_stated() -> None:
    with pytest.raises(TypeError, match="topk"):
        Accuracy()


REQUIRED_KEYS: dict[str, dict[str, Any]] = {
    "Accuracy": {"topk": 1},
    "ChannelShuffle": {"group": 2},
    "DepthToSpace": {"block": 2},
    "DetectionOutput": {"num_classes": 2},
    "PriorBox": {"min_size": 30.0},
    "ROIPooling": {"pooled_h": 7, "pooled_w": 7},
    "SpaceToDepth": {"block": 2},
    "Expand": {"shape": 1},
    "Gather": {"indices": 0},
    "Pad": {"before": 1, "after": 1},
    "Permute": {"order": 0},
    "Pooling": {"kernel_size": 2},
    "Reshape": {"shape": -1},
    "Slice": {"parts": 2},
    "StridedSlice": {"axes": 1, "starts": 0, "ends": 1},
    "Tile": {"repeats": 2},
    "Unary": {"operation": "sqrt"},
    "YoloBoxes": {"anchors": (10.0, 14.0), "classes": 1},
}


def make(layer: Any) -> Layer:
    made = layer(**REQUIRED_KEYS.get(layer.type, {}))
    assert isinstance(made, Layer)
    return made
