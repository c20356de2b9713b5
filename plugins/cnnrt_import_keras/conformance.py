"""The suite of the importer, for `cnnrt.testing`.

Models as two versions of Keras save them. Needs hypothesis and h5py.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from cnnrt.testing.importer_suite import ImporterSuite
from cnnrt_import_keras.importer import KerasImporter

Config = dict[str, Any]
Arrays = Sequence[NDArray[Any]]


def layer(kind: str, name: str, *inputs: str | tuple[str, int], **settings: Any) -> Config:
    """Return a layer's configuration as Keras 2 writes it, called once with what the named layers give."""
    tensors = [[i, 0, 0, {}] if isinstance(i, str) else [i[0], i[1], 0, {}] for i in inputs]
    nodes = [tensors] if tensors else []
    return {"class_name": kind, "name": name, "config": {"name": name, **settings}, "inbound_nodes": nodes}


def functional(layers: Sequence[Config], outputs: Sequence[str], inputs: Sequence[str] = ("x",)) -> Config:
    """Return a functional model's configuration."""
    ends = {"input_layers": [[i, 0, 0] for i in inputs], "output_layers": [[o, 0, 0] for o in outputs]}
    return {"class_name": "Model", "config": {"name": "model", "layers": list(layers), **ends}}


def sequential(layers: Sequence[Config], shape: Sequence[int | None]) -> Config:
    """Return a sequential model's configuration, for items of a shape."""
    first = layers[0]
    settings = {**first["config"], "batch_input_shape": [None, *shape]}
    return {
        "class_name": "Sequential",
        "config": {"name": "chain", "layers": [{**first, "config": settings}, *layers[1:]]},
    }


def save_h5(
    path: Path,
    config: Config | None,
    weights: Mapping[str, Arrays],
    version: str = "2.15.0",
    backend: str = "tensorflow",
) -> Path:
    """Write a model, or weights alone, as HDF5; weights are named by what Keras 2 calls them where there are names."""
    import h5py

    with h5py.File(path, "w") as file:
        group = file
        if config is not None:
            file.attrs["model_config"] = json.dumps(config)
            group = file.create_group("model_weights")
        group.attrs["keras_version"], group.attrs["backend"] = version, backend
        group.attrs["layer_names"] = [name.encode() for name in weights]
        for name, arrays in weights.items():
            inner = group.create_group(name)
            named = {_weight_name(name, number, len(arrays)): array for number, array in enumerate(arrays)}
            inner.attrs["weight_names"] = [n.encode() for n in named]
            for n, array in named.items():
                inner.create_dataset(n, data=array)
    return path


def _weight_name(layer: str, number: int, count: int) -> str:
    roles = ("gamma", "beta", "moving_mean", "moving_variance") if count == 4 else ("kernel", "bias", "third")
    return f"{layer}/{roles[number]}:0"


def save_keras(path: Path, config: Config, weights: Mapping[str, Arrays], version: str = "3.5.0") -> Path:
    """Write a .keras; weights are named by the paths of their layers ("layers/conv2d")."""
    import h5py

    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        for owner, arrays in weights.items():
            for number, array in enumerate(arrays):
                file.create_dataset(f"{owner}/vars/{number}", data=array)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": version}))
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", stream.getvalue())
    return path


class KerasSuite(ImporterSuite):
    """A chain as HDF5, and a residual network as .keras."""

    importer = KerasImporter()
    mutations: ClassVar[int] = 2  # each is read by a process of its own

    def models(self, folder: Path) -> Sequence[Sequence[Path]]:
        """Write both."""
        config, weights = chain()
        files = [save_h5(folder / "chain.h5", config, weights)]
        config, weights = residual()
        return [[file] for file in (*files, save_keras(folder / "residual.keras", config, weights))]


def chain() -> tuple[Config, dict[str, Arrays]]:
    """Return a sequential model: convolution, normalisation, pooling, a dense layer behind a flattened image."""
    random = np.random.default_rng(0)

    def values(*shape: int) -> NDArray[Any]:
        return random.random(shape, np.float32) - 0.25

    layers = [
        layer("Conv2D", "conv", filters=4, kernel_size=[3, 3], strides=[2, 2], padding="same", activation="relu"),
        layer("BatchNormalization", "norm", axis=[3], epsilon=0.001),
        layer("MaxPooling2D", "pool", pool_size=[2, 2], padding="same"),
        layer("Flatten", "flat"),
        layer("Dropout", "dropout", rate=0.5),
        layer("Dense", "scores", units=5, activation="softmax"),
    ]
    weights: dict[str, Arrays] = {
        "conv": [values(3, 3, 3, 4), values(4)],
        "norm": [values(4), values(4), values(4), values(4) + 1],
        "pool": [],
        "flat": [],
        "dropout": [],
        "scores": [values(36, 5), values(5)],
    }
    return sequential(layers, (9, 9, 3)), weights


def residual() -> tuple[Config, dict[str, Arrays]]:
    """Return a functional model in which a shared layer is called twice, and two branches are added."""
    random = np.random.default_rng(1)
    shared = layer("Conv2D", "shared", "x", use_bias=False, padding="same")
    shared["inbound_nodes"].append([["depthwise", 0, 0, {}]])
    layers = [
        layer("InputLayer", "x", batch_input_shape=[None, 8, 8, 3]),
        shared,
        layer("DepthwiseConv2D", "depthwise", "shared", padding="same", activation="relu6"),
        layer("Add", "sum", ("shared", 1), "x"),
        layer("GlobalAveragePooling2D", "features", "sum"),
    ]
    weights: dict[str, Arrays] = {
        "layers/conv2d": [random.standard_normal((3, 3, 3, 3)).astype(np.float32)],
        "layers/depthwise_conv2d": [
            random.standard_normal((3, 3, 3, 1)).astype(np.float32),
            random.standard_normal(3).astype(np.float32),
        ],
    }
    return functional(layers, ["features"]), weights
