"""Keras's models: all kinds of files, models within models, what is refused, and published models."""

from __future__ import annotations

import json
import os
import zipfile
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
from keras_suite.small_models import BIAS, IMAGE, K, agrees, one, outcome, problems, relu, values


class TestConformance(KerasSuite):
    """What every importer has to hold."""


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
