"""Pickled layers of Lasagne: the file holds the topology, so no NetFile is needed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnnrt import Net, convert
from cnnrt.errors import ImportFailure
from cnnrt.layer import Array
from cnnrt.plugins import plugin_host
from cnnrt_import_theano.importer import TheanoImporter
from netfile_spec import NetFile
from theano_suite.pickled_classes import dumped, function, pretended

RECTIFY = "rectify"


def values(*shape: int) -> Array:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def shared(value: Array) -> Any:
    container = pretended("theano.gof.link", "Container", storage=[value])
    return pretended("theano.tensor.sharedvar", "TensorSharedVariable", container=container)


def lasagne(kind: str, inputs: Any = None, module: str = "base", **state: Any) -> Any:
    """A layer of Lasagne; arrays become shared variables, texts of `nonlinearity` its functions."""
    state = {key: shared(v) if isinstance(v, np.ndarray) else v for key, v in state.items()}
    if isinstance(state.get("nonlinearity"), str):
        state["nonlinearity"] = function("lasagne.nonlinearities", state["nonlinearity"])
    if isinstance(inputs, list):
        state["input_layers"] = inputs
    elif inputs is not None:
        state["input_layer"] = inputs
    return pretended(f"lasagne.layers.{module}", kind, **state)


def data() -> Any:
    return lasagne("InputLayer", shape=(None, 2, 6, 6), module="input", name=None)


def read(folder: Path, *layers: Any) -> tuple[NetFile, Mapping[str, Mapping[str, Array]], tuple[str, ...]]:
    path = folder / "net.pkl"
    path.write_bytes(dumped(list(layers)))
    model = TheanoImporter().read([path])
    return model.netfile, model.parameters, model.notes


def computed(folder: Path, *layers: Any, images: Array | None = None) -> Array:
    path = folder / "net.pkl"
    path.write_bytes(dumped(layers[0] if len(layers) == 1 else list(layers)))
    with Net(convert(path, folder / "net", overwrite=True).netfile) as net:
        result = net.compute(values(1, 2, 6, 6) if images is None else images)
    assert isinstance(result, np.ndarray)
    return result


def problems(folder: Path, *layers: Any) -> list[str]:
    with pytest.raises(ImportFailure) as caught:
        read(folder, *layers)
    return [p.message for p in caught.value.problems]


def test_a_network_is_found_from_its_last_layer(tmp_path: Path) -> None:
    conv = lasagne("Conv2DLayer", data(), "conv", W=values(3, 2, 3, 3), b=values(3), pad="same", nonlinearity=RECTIFY)
    pool = lasagne("MaxPool2DLayer", conv, "pool", pool_size=(2, 2), stride=(2, 2), pad=(0, 0), mode="max")
    drop = lasagne("DropoutLayer", pool, "noise", p=0.5)
    dense = lasagne("DenseLayer", drop, "dense", W=values(27, 4), b=values(4), nonlinearity="softmax", name="prob")
    netfile, parameters, notes = read(tmp_path, dense)
    assert [(block.type, block.bottoms) for block in netfile.layers] == [
        ("Convolution", None),
        ("ReLU", None),
        ("Pooling", None),
        ("FullyConnected", None),
        ("Softmax", None),
    ]
    assert netfile.inputs[0].shape == (2, 6, 6)
    np.testing.assert_array_equal(next(iter(parameters.values()))["weight"], values(3, 2, 3, 3)[:, :, ::-1, ::-1])
    np.testing.assert_array_equal(parameters["prob"]["weight"], values(27, 4).T)
    assert any("dropped in training only" in note for note in notes)
    assert computed(tmp_path, dense).shape == (1, 4)


@pytest.mark.parametrize(
    ("kind", "stated", "flipped"),
    [
        ("Conv2DLayer", {}, True),
        ("Conv2DLayer", {"flip_filters": True}, True),
        ("Conv2DLayer", {"flip_filters": False}, False),
        ("Conv2DDNNLayer", {}, False),
        ("Conv2DDNNLayer", {"flip_filters": True}, True),
    ],
)
def test_each_layer_says_whether_its_kernels_are_mirrored(
    tmp_path: Path, kind: str, stated: dict[str, bool], flipped: bool
) -> None:
    layer = lasagne(kind, data(), "conv", W=values(3, 2, 3, 3), b=None, pad=(1, 1), stride=(2, 1), **stated)
    netfile, parameters, _ = read(tmp_path, layer)
    assert netfile.layers[0].keys == {"pad": (1, 1), "stride": (2, 1)}
    kernels = values(3, 2, 3, 3)
    (weights,) = parameters.values()
    np.testing.assert_array_equal(weights["weight"], kernels[:, :, ::-1, ::-1] if flipped else kernels)


def test_several_layers_that_others_read_are_joined(tmp_path: Path) -> None:
    source = data()
    one = lasagne("NINLayer", source, "dense", W=values(2, 3), b=values(3), name="one")
    two = lasagne("Conv2DLayer", source, "conv", W=values(3, 2, 1, 1), b=values(3), name="two")
    added = lasagne("ElemwiseSumLayer", [one, two], "merge", coeffs=[1, -1])
    joined = lasagne("ConcatLayer", [added, one], "merge", axis=1, name="joined")
    netfile, _, _ = read(tmp_path, lasagne("FlattenLayer", joined, "shape", outdim=2))
    by_name = {block.name: block for block in netfile.layers}
    assert by_name["joined"].bottoms == ("ElemwiseSumLayer3", "one")
    x = values(1, 2, 6, 6)
    first = np.einsum("nchw,co->nohw", x, values(2, 3)) + values(3)[:, None, None]
    second = np.einsum("nchw,oc->nohw", x, values(3, 2, 1, 1)[:, :, 0, 0]) + values(3)[:, None, None]
    np.testing.assert_allclose(computed(tmp_path, joined), np.concatenate([first - second, first], 1), atol=1e-5)


def test_normalisations_are_those_of_lasagne(tmp_path: Path) -> None:
    x = values(1, 2, 6, 6)
    weights = {"mean": values(2), "inv_std": np.array([0.5, 2], np.float32), "beta": values(2), "gamma": values(2)}
    norm = lasagne("BatchNormLayer", data(), "normalization", epsilon=1e-4, **weights)
    columns = {name: w[:, None, None] for name, w in weights.items()}
    wanted = (x - columns["mean"]) * columns["inv_std"] * columns["gamma"] + columns["beta"]
    np.testing.assert_allclose(computed(tmp_path, norm), wanted, atol=1e-5)

    lrn = lasagne("LocalResponseNormalization2DLayer", data(), "normalization", alpha=0.1, k=2, beta=0.75, n=3)
    squares = x**2
    sums = squares + squares[:, ::-1]  # of two channels each has the other one as its only neighbour
    np.testing.assert_allclose(computed(tmp_path, lrn), x / (2 + 0.1 * sums) ** 0.75, atol=1e-5)


@pytest.mark.parametrize(
    ("mode", "ignore_border", "size"), [("max", True, 2), ("average_inc_pad", False, 3), ("average_exc_pad", True, 2)]
)
def test_pooling_rounds_as_ignore_border_says(tmp_path: Path, mode: str, ignore_border: bool, size: int) -> None:
    pool = lasagne(
        "Pool2DLayer", data(), "pool", pool_size=(3, 3), stride=(2, 2), mode=mode, ignore_border=ignore_border
    )
    assert computed(tmp_path, pool).shape == (1, 2, size, size)


NONLINEARITIES = {
    "rectify": lambda x: np.maximum(x, 0),
    "linear": lambda x: x,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": np.tanh,
    "softplus": lambda x: np.log1p(np.exp(x)),
    "elu": lambda x: np.where(x > 0, x, np.expm1(x)),
}
LAYER_OF = {"sigmoid": "sigmoid", "tanh": "tanh", "softplus": "softplus", "elu": "elu"}


@pytest.mark.parametrize("name", NONLINEARITIES)
def test_nonlinearities_become_layers(tmp_path: Path, name: str) -> None:
    if name in LAYER_OF and LAYER_OF[name] not in plugin_host().layers():
        pytest.skip(f"the layer {LAYER_OF[name]} is not installed")
    layer = lasagne("NonlinearityLayer", data(), "special", nonlinearity=name)
    joined = lasagne("ConcatLayer", [layer, layer], "merge", axis=1)
    wanted = NONLINEARITIES[name](values(1, 2, 6, 6))
    np.testing.assert_allclose(computed(tmp_path, joined)[:, :2], wanted, atol=1e-5)


def test_a_leaky_rectifier_keeps_its_leakiness(tmp_path: Path) -> None:
    leaky = pretended("lasagne.nonlinearities", "LeakyRectify", leakiness=0.25)
    netfile, _, _ = read(tmp_path, lasagne("NonlinearityLayer", data(), "special", nonlinearity=leaky))
    assert netfile.layers[0].keys == {"negative_slope": 0.25}


def test_everything_that_stands_in_the_way_is_listed_with_its_place(tmp_path: Path) -> None:
    odd = lasagne("FancyLayer", data(), "special", name="fancy")
    conv = lasagne("Conv2DLayer", data(), "conv", W=values(3, 2), b=None)
    norm = lasagne("ConcatLayer", [odd, conv], "merge", axis=0)
    found = problems(tmp_path, norm)
    assert found == [
        'layer 1 (FancyLayer) "fancy": a layer that is not supported',
        "layer 3 (Conv2DLayer): its W is no array of 4 dimensions",
        "layer 4 (ConcatLayer): a concatenation of images of a batch, or one that crops",
    ]


def test_layers_in_a_circle_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.pkl"
    path.write_bytes(
        b"\x80\x02cnumpy\nndarray\n0clasagne.layers.base\nLayer\n)Rq\x00}X\x0b\x00\x00\x00input_layerh\x00sb."
    )
    with pytest.raises(ImportFailure, match="in a circle"):
        TheanoImporter().read([path])
