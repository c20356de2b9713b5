"""Each kind of Keras's layers, against NumPy in Keras's own axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from channels_last_suite import nhwc
from cnnrt import Net, convert
from cnnrt_import_keras.conformance import (
    layer,
    save_h5,
    sequential,
)
from keras_suite.small_models import BIAS, IMAGE, STATS, Array, K, agrees, one, outcome, problems, relu, values

CASES: dict[str, tuple[dict[str, Any], Sequence[Array], Callable[[Array], Array]]] = {
    "convolution with a stride, a bias and an activation": (
        layer("Conv2D", "y", strides=[2, 2], padding="same", activation="relu"),
        [K, BIAS],
        lambda x: relu(nhwc.conv(x, K, (2, 2)) + BIAS),
    ),
    "convolution with gaps, without bias": (
        layer("Conv2D", "y", dilation_rate=[2, 1], padding="valid", use_bias=False, activation="linear"),
        [K],
        lambda x: nhwc.conv(x, K, padding="VALID", dilation=(2, 1)),
    ),
    "convolution in two groups": (
        layer("Conv2D", "y", padding="valid", use_bias=False),
        [values(3, 2, 2, 6, seed=1)],
        lambda x: np.concatenate(
            [nhwc.conv(x[..., g], values(3, 2, 2, 6, seed=1)[..., h], padding="VALID") for g, h in _HALVES], -1
        ),
    ),
    "separable convolution": (
        layer("SeparableConv2D", "y", padding="same", strides=[2, 2], use_bias=False, activation="elu"),
        [values(3, 3, 4, 2, seed=3), values(1, 1, 8, 3, seed=4)],
        lambda x: _elu(nhwc.conv(nhwc.depthwise(x, values(3, 3, 4, 2, seed=3), (2, 2)), values(1, 1, 8, 3, seed=4))),
    ),
    "transposed convolution": (
        layer("Conv2DTranspose", "y", strides=[2, 2], padding="same"),
        [K.transpose(0, 1, 3, 2), BIAS],
        lambda x: nhwc.deconv(x, K.transpose(0, 1, 3, 2), (2, 2), (14, 12), "SAME") + BIAS,
    ),
    "pooling by mean, whose windows move by their size": (
        layer("AveragePooling2D", "y", pool_size=[3, 2], strides=None, padding="same"),
        [],
        lambda x: nhwc.mean_pool(x, (3, 2), (3, 2), "SAME"),
    ),
    "normalisation without scale": (
        layer("BatchNormalization", "y", axis=-1, epsilon=0.01, scale=False),
        [STATS[1], STATS[2], STATS[3]],
        lambda x: (x - STATS[2]) / np.sqrt(STATS[3] + 0.01) + STATS[1],
    ),
    "normalisation of each pixel": (
        layer("LayerNormalization", "y", axis=[-1], epsilon=0.01),
        [STATS[0], STATS[1]],
        lambda x: (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 0.01) * STATS[0] + STATS[1],
    ),
    "a dense layer along the last axis": (
        layer("Dense", "y", activation="tanh"),
        [values(4, 3, seed=5), values(3, seed=6)],
        lambda x: np.tanh(x @ values(4, 3, seed=5) + values(3, seed=6)),
    ),
    "slopes shared by rows and columns": (
        layer("PReLU", "y", shared_axes=[1, 2]),
        [values(1, 1, 4, seed=7)],
        lambda x: np.where(x > 0, x, values(1, 1, 4, seed=7) * x),
    ),
    "limits": (layer("ReLU", "y", max_value=0.5, negative_slope=0.0, threshold=0.0), [], lambda x: np.clip(x, 0, 0.5)),
    "padding": (
        layer("ZeroPadding2D", "y", padding=[[1, 2], [0, 3]]),
        [],
        lambda x: np.pad(x, ((0, 0), (1, 2), (0, 3), (0, 0))),
    ),
    "cropping": (layer("Cropping2D", "y", cropping=[[1, 2], [0, 3]]), [], lambda x: x[:, 1:-2, :-3]),
    "upsampling": (layer("UpSampling2D", "y", size=[2, 3]), [], lambda x: x.repeat(2, 1).repeat(3, 2)),
    "a reshape": (layer("Reshape", "y", target_shape=[-1, 4]), [], lambda x: x.reshape(2, 42, 4)),
    "axes in another order": (layer("Permute", "y", dims=[2, 1, 3]), [], lambda x: x.transpose(0, 2, 1, 3)),
    "softmax of each pixel": (layer("Activation", "y", activation="softmax"), [], nhwc.softmax),
    "scaling of pixels": (layer("Rescaling", "y", scale=0.5, offset=-1.0), [], lambda x: 0.5 * x - 1),
    "normalisation of pixels": (
        layer("Normalization", "y", axis=[3], mean=None),
        [STATS[0], STATS[1]],
        lambda x: (x - STATS[0]) / np.sqrt(STATS[1]),
    ),
}
_HALVES = ((slice(0, 2), slice(0, 3)), (slice(2, 4), slice(3, 6)))


def _elu(x: Array) -> Array:
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))


ROW = values(2, 9, 4)
K1, K4 = values(3, 4, 5, seed=1), values(3, 4, 4, seed=1)
_BACK = ((0, 0), (0, 0), (4, 0), (0, 0))


def row(function: Callable[[Array], Array]) -> Callable[[Array], Array]:
    """Return a function of sequences, by one of images that have one row."""
    return lambda x: function(x[:, None])[:, 0]


ROWS: dict[str, tuple[Sequence[dict[str, Any]], dict[str, Sequence[Array]], Callable[[Array], Array]]] = {
    "Conv1D": (
        [layer("Conv1D", "y", strides=[2], padding="same", activation="relu")],
        {"y": [K1, BIAS]},
        row(lambda x: relu(nhwc.conv(x, K1[None], (1, 2)) + BIAS)),
    ),
    "Conv1D that looks back": (
        [layer("Conv1D", "y", padding="causal", dilation_rate=[2])],
        {"y": [K1, BIAS]},
        row(lambda x: nhwc.conv(np.pad(x, _BACK), K1[None], padding="VALID", dilation=(1, 2)) + BIAS),
    ),
    "DepthwiseConv1D": (
        [layer("DepthwiseConv1D", "y", padding="same", use_bias=False)],
        {"y": [values(3, 4, 2, seed=3)]},
        row(lambda x: nhwc.depthwise(x, values(3, 4, 2, seed=3)[None])),
    ),
    "SeparableConv1D": (
        [layer("SeparableConv1D", "y", padding="same", use_bias=False)],
        {"y": [values(3, 4, 2, seed=3), values(1, 8, 3, seed=4)]},
        row(lambda x: nhwc.conv(nhwc.depthwise(x, values(3, 4, 2, seed=3)[None]), values(1, 1, 8, 3, seed=4))),
    ),
    "Conv1DTranspose": (
        [layer("Conv1DTranspose", "y", strides=[2], padding="same", use_bias=False)],
        {"y": [K1.transpose(0, 2, 1)]},
        row(lambda x: nhwc.deconv(x, K1.transpose(0, 2, 1)[None], (1, 2), (1, 18), "SAME")),
    ),
    "poolings, and a dense layer behind them": (
        [
            layer("MaxPooling1D", "p", pool_size=[2], strides=[2], padding="valid"),
            layer("AveragePooling1D", "a", pool_size=[2], strides=None, padding="same"),
            layer("Flatten", "f"),
            layer("Dense", "y"),
        ],
        {"y": [values(8, 3, seed=5), values(3, seed=6)]},
        lambda x: (
            row(lambda z: nhwc.mean_pool(nhwc.max_pool(z, (1, 2), (1, 2), "VALID"), (1, 2), (1, 2), "SAME"))(x).reshape(
                2, -1
            )
            @ values(8, 3, seed=5)
            + values(3, seed=6)
        ),
    ),
    "convolutions and normalisation in a row, then the mean": (
        [
            layer("Conv1D", "c", padding="same"),
            layer("BatchNormalization", "b", epsilon=0.01),
            layer("Conv1D", "d", padding="same", use_bias=False),
            layer("GlobalAveragePooling1D", "y"),
        ],
        {"c": [K4, BIAS[:4]], "b": STATS, "d": [K1]},
        row(lambda x: nhwc.conv(_normalised(nhwc.conv(x, K4[None]) + BIAS[:4]), K1[None]).mean(2)),
    ),
    "padding, cropping and upsampling": (
        [
            layer("ZeroPadding1D", "z", padding=[1, 3]),
            layer("Cropping1D", "c", cropping=[0, 2]),
            layer("UpSampling1D", "u", size=3),
            layer("GlobalMaxPooling1D", "y", keepdims=True),
        ],
        {},
        lambda x: np.maximum(x.max(1, keepdims=True), 0),
    ),
}


def _normalised(x: Array) -> Array:
    gamma, beta, mean, variance = STATS
    return np.asarray((x - mean) / np.sqrt(variance + 0.01) * gamma + beta)


@pytest.mark.parametrize("name", ROWS)
def test_layers_of_sequences_compute_what_keras_defines(tmp_path: Path, name: str) -> None:
    layers, arrays, wanted = ROWS[name]
    file = save_h5(tmp_path / "row.h5", sequential(list(layers), ROW.shape[1:]), arrays)
    with Net(convert(file, tmp_path / "net").netfile, execution_mode="sequential") as net:
        result = net.compute(ROW)
    assert isinstance(result, np.ndarray)
    exact = wanted(ROW)
    assert result.shape == exact.shape
    assert np.abs(result - exact).max() <= 1e-5 * np.abs(exact).max()


def test_layers_of_sequences_refuse_images(tmp_path: Path) -> None:
    said = problems(one(tmp_path, layer("MaxPooling1D", "y"), []))
    assert "an input of shape ?×7×6×4" in said
    assert "sequences: (batch, steps, channels)" in said


@pytest.mark.parametrize("name", CASES)
def test_a_layer_computes_what_keras_defines(tmp_path: Path, name: str) -> None:
    config, arrays, wanted = CASES[name]
    got = outcome(tmp_path, one(tmp_path, config, arrays), IMAGE)
    expected = wanted(IMAGE)
    # A permutation keeps the axes that it asks for; images come out channels first.
    agrees(got, expected.transpose(0, 2, 3, 1) if config["class_name"] == "Permute" else expected)


@pytest.mark.parametrize(
    ("version", "wanted"),
    [("2.15.0", lambda x: np.clip(0.2 * x + 0.5, 0, 1)), ("3.5.0", lambda x: np.clip(x + 3, 0, 6) / 6)],
)
def test_the_hard_sigmoid_changed_with_keras_3(tmp_path: Path, version: str, wanted: Callable[[Array], Array]) -> None:
    file = one(tmp_path, layer("Activation", "y", activation="hard_sigmoid"), [], version=version)
    agrees(outcome(tmp_path, file, 3 * IMAGE), wanted(3 * IMAGE))
