"""Keras's models: each kind of layer against NumPy in Keras's own axes, all kinds of files, and published models."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from channels_last_suite import nhwc
from cnnrt import Net, convert
from cnnrt.errors import CnnrtError, ImportFailure
from cnnrt_import_keras import hdf5
from cnnrt_import_keras.conformance import (
    KerasSuite,
    chain,
    functional,
    layer,
    residual,
    save_h5,
    save_keras,
    sequential,
)
from cnnrt_import_keras.importer import KerasImporter

Array = np.ndarray[Any, np.dtype[Any]]


class TestConformance(KerasSuite):
    """What every importer has to hold."""


def values(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def outcome(tmp_path: Path, file: Path, images: Array) -> Array:
    """Convert a model and compute its output for images in Keras's axes."""
    with Net(convert(file, tmp_path / "net").netfile, execution_mode="sequential") as net:
        result = net.compute(nhwc.to_nchw(images))
    assert isinstance(result, np.ndarray)
    return result


def one(tmp_path: Path, config: dict[str, Any], arrays: Sequence[Array], **more: str) -> Path:
    """Save a model of one layer."""
    shape = more.pop("shape", None) or IMAGE.shape[1:]
    return save_h5(tmp_path / "one.h5", sequential([config], shape), {config["name"]: arrays}, **more)  # type: ignore[arg-type]


def problems(file: Path) -> str:
    with pytest.raises(ImportFailure) as caught:
        KerasImporter().read([file])
    return str(caught.value)


def agrees(got: Array, wanted: Array) -> None:
    wanted = nhwc.to_nchw(wanted)
    assert got.shape == wanted.shape
    assert np.abs(got - wanted).max() <= 1e-5 * np.abs(wanted).max()


def relu(x: Array) -> Array:
    return np.maximum(x, 0)


IMAGE = values(2, 7, 6, 4)
K = values(3, 2, 4, 5, seed=1)
BIAS = values(5, seed=2)
STATS = [values(4, seed=s) ** 2 + 0.5 for s in range(4)]

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


@pytest.mark.parametrize("kind", ["h5", "keras"])
def test_whole_models(tmp_path: Path, kind: str) -> None:
    images = values(2, 9, 9, 3)
    if kind == "h5":
        config, weights = chain()
        (k, b), (gamma, beta, mean, variance), (m, c) = (weights[n] for n in ("conv", "norm", "scores"))
        x = (relu(nhwc.conv(images, k, (2, 2)) + b) - mean) / np.sqrt(variance + 0.001) * gamma + beta
        wanted = nhwc.softmax(nhwc.max_pool(x, (2, 2), (2, 2), "SAME").reshape(2, -1) @ m + c)
        file = save_h5(tmp_path / "model.h5", config, weights)
    else:
        images = images[:, :8, :8]
        config, weights = residual()
        (k,), (d, b) = weights["layers/conv2d"], weights["layers/depthwise_conv2d"]
        branch = np.clip(nhwc.depthwise(nhwc.conv(images, k), d) + b, 0, 6)
        wanted = (nhwc.conv(branch, k) + images).mean((1, 2))
        file = save_keras(tmp_path / "model.keras", config, weights)
    agrees(outcome(tmp_path, file, images), wanted)


def test_arithmetic_with_numbers_as_keras_3_writes_it(tmp_path: Path) -> None:
    """(5 - x) * 0.25, from the file of MobileNet v3: operations are layers whose arguments may be numbers."""

    def tensor(name: str) -> dict[str, Any]:
        return {"class_name": "__keras_tensor__", "config": {"shape": [None, 7, 6, 4], "keras_history": [name, 0, 0]}}

    subtract, multiply = layer("Subtract", "s"), layer("Multiply", "y")
    subtract["inbound_nodes"] = [{"args": [5.0, tensor("x")], "kwargs": {}}]
    multiply["inbound_nodes"] = [{"args": [tensor("s"), 0.25], "kwargs": {}}]
    layers = [layer("InputLayer", "x", batch_shape=[None, 7, 6, 4]), subtract, multiply]
    file = save_keras(tmp_path / "numbers.keras", functional(layers, ["y"]), {"layers/none": []})
    agrees(outcome(tmp_path, file, IMAGE), (5 - IMAGE) * 0.25)


def test_branches_of_one_input_and_several_outputs(tmp_path: Path) -> None:
    merged = [
        layer(kind, kind.lower(), "a", "b") for kind in ("Subtract", "Multiply", "Average", "Maximum", "Concatenate")
    ]
    layers = [
        layer("InputLayer", "x", batch_input_shape=[None, 7, 6, 4]),
        layer("LeakyReLU", "a", "x", alpha=0.1),
        layer("Activation", "b", "x", activation="sigmoid"),
        *merged,
    ]
    names = [m["name"] for m in merged]
    file = save_h5(tmp_path / "branches.h5", functional(layers, names), {})
    with Net(convert(file, tmp_path / "net").netfile, execution_mode="sequential") as net:
        got = net.compute(nhwc.to_nchw(IMAGE), outputs=names)
    a, b = np.where(IMAGE > 0, IMAGE, 0.1 * IMAGE), 1 / (1 + np.exp(-IMAGE.astype(np.float64)))
    for name, wanted in zip(
        names, (a - b, a * b, (a + b) / 2, np.maximum(a, b), np.concatenate([a, b], 3)), strict=True
    ):
        agrees(got[name], wanted)


@pytest.mark.parametrize("first", [0, 1])
def test_a_model_within_a_model(tmp_path: Path, first: int) -> None:
    """TensorFlow 2 counts its calls from 1."""
    inner = sequential([layer("Conv2D", "conv", padding="same", use_bias=False)], (7, 6, 4))
    inner["config"]["name"] = inner["name"] = "block"
    inner["inbound_nodes"] = [[["x", 0, 0, {}]]]
    layers = [layer("InputLayer", "x", batch_input_shape=[None, 7, 6, 4]), inner, layer("ReLU", "y", ("block", first))]
    file = tmp_path / "nested.h5"
    save_h5(file, functional(layers, ["y"]), {"block": [K]})
    with h5py.File(file, "r+") as stored:
        group = stored["model_weights/block"]
        group.move("block/kernel:0", "conv/kernel:0")
        group.attrs["weight_names"] = [b"conv/kernel:0"]
    agrees(outcome(tmp_path, file, IMAGE), relu(nhwc.conv(IMAGE, K)))


def test_kernels_that_were_trained_on_theano_are_mirrored(tmp_path: Path) -> None:
    config = layer("Conv2D", "y", padding="valid", use_bias=False)
    mirrored = one(tmp_path, config, [K[::-1, ::-1]], backend="theano", version="2.1.0")
    agrees(outcome(tmp_path, mirrored, IMAGE), nhwc.conv(IMAGE, K, padding="VALID"))
    assert any("Theano" in note for note in KerasImporter().read([mirrored]).notes)


def test_keras_1_on_theano(tmp_path: Path) -> None:
    """Channels first, kernels (outputs, inputs, rows, columns), other names, a list of layers; no version is stated."""
    dense = values(4 * 30, 3, seed=3)
    layers = [
        layer("Convolution2D", "c", nb_filter=5, border_mode="valid", subsample=[1, 1], dim_ordering="th", bias=True),
        layer("Activation", "r", activation="relu"),
        layer("Flatten", "f"),
        layer("Dense", "d", output_dim=3, activation="linear", bias=False),
    ]
    config = sequential(layers, (4, 7, 6))
    config["config"] = config["config"]["layers"]
    theano = K.transpose(3, 2, 0, 1)[:, :, ::-1, ::-1]
    dense = values(125, 3, seed=3)
    file = save_h5(
        tmp_path / "old.h5", config, {"c": [theano, BIAS], "r": [], "f": [], "d": [dense]}, "1.2.2", "theano"
    )
    features = nhwc.to_nchw(relu(nhwc.conv(IMAGE, K, padding="VALID") + BIAS)).reshape(2, -1)
    agrees(outcome(tmp_path, file, IMAGE), features @ dense)


def test_a_model_with_channels_first(tmp_path: Path) -> None:
    """Since Keras 2.1, Flatten puts the channels last before it flattens."""
    layers = [
        layer("Conv2D", "c", padding="same", use_bias=False, data_format="channels_first"),
        layer("BatchNormalization", "n", axis=[1]),
        layer("Flatten", "f", data_format="channels_first"),
        layer("Dense", "d", use_bias=False),
    ]
    stats = [np.ones(5), np.zeros(5), BIAS, BIAS**2 + 1]
    weights = {"c": [K], "n": stats, "f": [], "d": [values(210, 3, seed=3)]}
    file = save_h5(tmp_path / "first.h5", sequential(layers, (4, 7, 6)), weights)
    normal = (nhwc.conv(IMAGE, K) - BIAS) / np.sqrt(BIAS**2 + 1 + 1e-3)
    agrees(outcome(tmp_path, file, IMAGE), normal.reshape(2, -1) @ values(210, 3, seed=3))


def test_a_model_that_scales_its_pixels_says_so(tmp_path: Path) -> None:
    config = sequential([layer("Rescaling", "s", scale=0.1, offset=0.0), layer("ReLU", "r")], (7, 6, 4))
    model = KerasImporter().read([save_h5(tmp_path / "s.h5", config, {})])
    assert model.netfile.inputs[0].scale == 1
    assert any("pixels from 0 to 255" in note for note in model.notes)


def test_weights_alone_with_a_topology(tmp_path: Path) -> None:
    file = save_h5(tmp_path / "weights.h5", None, {"conv": [K, BIAS], "fc": [values(210, 3, seed=3), values(3)]})
    assert "holds weights without a model" in problems(file)
    topology = tmp_path / "layers.netfile"
    topology.write_text(
        "netfile_version: 1\ninput { name: data shape: [4, 7, 6] }\n"
        "layer { type: Convolution name: conv pad: [1, 0, 1, 1] }\nlayer { type: FullyConnected name: fc }\n"
    )
    converted = convert(file, tmp_path / "net", topology=topology)
    with Net(converted.netfile, execution_mode="sequential") as net:
        got = net.compute(nhwc.to_nchw(IMAGE), outputs=["conv"])["conv"]
    agrees(got, nhwc.conv(IMAGE, K) + BIAS)


def test_all_that_stands_in_the_way_is_named_at_once(tmp_path: Path) -> None:
    layers = [
        layer("Lambda", "code"),
        layer("LSTM", "memory"),
        layer("Conv2D", "conv"),
        layer("Activation", "act", activation="softpluss"),
    ]
    config = functional(
        [
            layer("InputLayer", "x", batch_input_shape=[None, 7, 6, 4]),
            *({**e, "inbound_nodes": [[["x", 0, 0, {}]]]} for e in layers),
        ],
        ["code", "memory", "conv", "act"],
    )
    said = problems(save_h5(tmp_path / "bad.h5", config, {}))
    assert 'Lambda is not supported: layer "code"' in said
    assert "it is code, which is not run" in said
    assert 'LSTM is not supported: layer "memory"' in said
    assert 'layer "conv" (Conv2D): it needs kernel, bias; stored for it: none' in said
    assert 'did you mean "softplus"?' in said


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"class_name": "Graph", "config": {}}, "a model of class 'Graph'"),
        ({"class_name": "Sequential", "config": {"layers": []}}, "without layers"),
        (functional([layer("ReLU", "a", "b"), layer("ReLU", "b", "a")], ["a"]), "it depends on its own result"),
        (functional([layer("ReLU", "a", "gone")], ["a"]), 'nothing gives its input "gone"'),
        (sequential([layer("ReLU", "a")], ()), "an input of shape"),
    ],
)
def test_configurations_that_are_no_model(tmp_path: Path, config: dict[str, Any], said: str) -> None:
    assert said in problems(save_h5(tmp_path / "bad.h5", config, {}))


@pytest.mark.parametrize("kind", ["Conv2D", "Cropping2D", "ZeroPadding2D", "UpSampling2D", "GlobalMaxPooling2D"])
def test_layers_of_images_refuse_what_is_none(tmp_path: Path, kind: str) -> None:
    config = sequential([layer(kind, "y", use_bias=False)], (12,))
    assert f'layer "y" ({kind})' in problems(
        save_h5(tmp_path / "flat.h5", config, {"y": [K] if kind == "Conv2D" else []})
    )


def test_files_that_are_something_else(tmp_path: Path) -> None:
    file = tmp_path / "model.h5"
    for content, said in ((b"", "not an HDF5 file"), (b"\x89HDF\r\n\x1a\n" + bytes(200), "cannot be read as HDF5")):
        file.write_bytes(content)
        assert said in problems(file)
    with h5py.File(file, "w") as stored:
        stored["x"] = np.zeros(3)
    assert "not of Keras" in problems(file)
    with zipfile.ZipFile(tmp_path / "model.keras", "w") as archive:
        archive.writestr("config.json", "{}")
    assert "without model.weights.h5" in problems(tmp_path / "model.keras")


def test_nothing_outside_the_file_is_read(tmp_path: Path) -> None:
    """External links, external storage and virtual data sets would bring in other files."""
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as other:
        other["kernel"] = K
    (tmp_path / "secret.raw").write_bytes(K.tobytes())
    for kind in ("link", "storage", "virtual"):
        file = save_h5(
            tmp_path / f"{kind}.h5", sequential([layer("Conv2D", "y", use_bias=False)], (7, 6, 4)), {"y": [K]}
        )
        with h5py.File(file, "r+") as stored:
            group = stored["model_weights/y"]
            del group["y/kernel:0"]
            if kind == "link":
                group["y/kernel:0"] = h5py.ExternalLink(str(secret), "/kernel")
            elif kind == "storage":
                group.create_dataset(
                    "y/kernel:0", K.shape, "<f4", external=[(str(tmp_path / "secret.raw"), 0, K.nbytes)]
                )
            else:
                layout = h5py.VirtualLayout(K.shape, "<f4")
                layout[...] = h5py.VirtualSource(str(secret), "kernel", K.shape)
                group.create_virtual_dataset("y/kernel:0", layout)
        assert "stored for it: none" in problems(file)


def test_a_dataset_that_unpacks_a_thousandfold_is_refused(tmp_path: Path) -> None:
    config = sequential([layer("Conv2D", "y", use_bias=False)], (7, 6, 4))
    file = save_h5(tmp_path / "bomb.h5", config, {"y": [K]})
    with h5py.File(file, "r+") as stored:
        stored.create_dataset("model_weights/bomb", (1 << 30,), "<f4", chunks=(1 << 20,), compression="gzip")
    assert "it would grow to more than" in problems(file)


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "the HDF5 library failed on it (signal 11)"),
        ("import time; time.sleep(60)", "took more than 0.5 s"),
        ("print('x' * 100)", "an answer that makes no sense"),
    ],
)
@pytest.mark.skipif(os.name == "nt", reason="signals are those of POSIX")
def test_a_crash_or_a_hang_of_the_library_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, said: str
) -> None:
    (tmp_path / "child.py").write_text(program)
    monkeypatch.setattr(hdf5, "_CHILD", tmp_path / "child.py")
    monkeypatch.setattr(hdf5, "_SECONDS", 0.5 if "sleep" in program else 60)
    config, weights = chain()
    assert said in problems(save_h5(tmp_path / "model.h5", config, weights))


def test_a_missing_h5py_is_an_error_that_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config, weights = chain()
    file = save_h5(tmp_path / "model.h5", config, weights)
    monkeypatch.setattr(hdf5.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(CnnrtError, match=r'pip install "cnnrt\[keras\]"'):
        KerasImporter().read([file])


def test_an_answer_of_the_child_is_taken_for_hostile() -> None:
    for listed in (
        {"attributes": {}, "datasets": [{"path": "a", "shape": [1 << 40], "dtype": "<f4", "offset": 0}]},
        {"attributes": {}, "datasets": [{"path": "a", "shape": [-1], "dtype": "<f4", "offset": 0}]},
        {"attributes": {}, "datasets": [{"path": "a", "shape": [1], "dtype": "|O", "offset": 0}]},
        {"attributes": []},
        [],
    ):
        text = json.dumps(listed).encode()
        answer = len(text).to_bytes(8, "little") + text
        with pytest.raises(ImportFailure, match="makes no sense"):
            hdf5.read_answer(memoryview(answer), "file")


@pytest.mark.parametrize(
    ("folder", "file"),
    [
        ("keras-fer-mini-xception", "fer2013_mini_XCEPTION.102-0.66.hdf5"),
        ("keras-gender-mini-xception", "gender_mini_XCEPTION.21-0.95.hdf5"),
    ],
)
def test_mini_xception(tmp_path: Path, shared_folder: Path, folder: str, file: str) -> None:
    """Keras 2.0.5: residual blocks of separable convolutions, pooling with SAME padding and a stride."""
    models = shared_folder / "models" / folder
    converted = convert(models / file, tmp_path / "net")
    reference = np.load(models / "reference.npz")
    layers = {name: name.removeprefix("layer_") for name in reference.files if name.startswith("layer_")}
    with Net(converted.netfile, execution_mode="sequential") as net:
        answers = net.compute(reference["input"])
        got = net.compute(reference["input"][:2], outputs=list(layers.values()))
    assert isinstance(answers, np.ndarray)
    assert np.abs(answers - reference["output"]).max() <= 1e-5
    for stored, name in layers.items():
        assert np.abs(got[name] - reference[stored]).max() <= 1e-5 * max(np.abs(reference[stored]).max(), 1e-30)
