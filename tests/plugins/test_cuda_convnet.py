"""Checkpoints of cuda-convnet, made after its published format: no published checkpoint was at hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnnrt import Net, convert
from cnnrt.errors import ImportFailure
from cnnrt.layer import Array
from cnnrt.plugins import plugin_host
from cnnrt_import_cuda_convnet.conformance import CudaConvnetSuite, checkpoint, pickled, small_layers
from cnnrt_import_cuda_convnet.importer import CudaConvnetImporter
from netfile_spec import NetFile


class TestConformance(CudaConvnetSuite):
    """The suite that every importer has to pass."""


def values(*shape: int) -> Array:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def images() -> Array:
    return values(2, 2, 6, 6)


DATA = {"type": "data", "name": "data", "dataIdx": 0}


def saved(folder: Path, *layers: dict[str, Any]) -> Path:
    path = folder / "10.5"
    path.write_bytes(pickled(checkpoint([DATA, *layers])))
    return path


def read(folder: Path, *layers: dict[str, Any]) -> NetFile:
    return CudaConvnetImporter().read([saved(folder, *layers)]).netfile


def computed(folder: Path, *layers: dict[str, Any]) -> Array:
    # Checkpoints of layers without weights, as some here are, are not recognised: they name no array.
    done = convert(saved(folder, *layers), folder / "net", importer="cuda-convnet", overwrite=True)
    with Net(done.netfile) as net:
        result = net.compute(images())
    assert isinstance(result, np.ndarray)
    return result


def one(kind: str, **stated: Any) -> dict[str, Any]:
    return {"type": kind, "name": "one", "inputs": [0], "channels": 2, "imgSize": 6, **stated}


def conv(**stated: Any) -> dict[str, Any]:
    layer = {"filters": 4, "channels": [2], "filterSize": [3], "padding": [0], "stride": [1], "groups": [1]}
    layer |= {"imgSize": [6], "weights": [values(18, 4)], "biases": values(4, 1)}
    return one("conv", **{**layer, **stated})


def convolved(pads: tuple[int, int], stride: int) -> Array:
    """Compute the convolution by hand from the stored weights, whose channel changes slowest."""
    padded = np.pad(images(), ((0, 0), (0, 0), pads, pads))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))[:, :, ::stride, ::stride]
    stored = values(18, 4).reshape(2, 3, 3, 4)
    return np.einsum("nchwij,cijo->nohw", windows, stored) + values(4, 1).reshape(1, 4, 1, 1)


def test_a_whole_network_is_read(tmp_path: Path) -> None:
    path = tmp_path / "1.5"
    path.write_bytes(pickled(checkpoint(small_layers())))
    model = CudaConvnetImporter().read([path])
    assert [block.type for block in model.netfile.layers] == [
        "Convolution", "ReLU", "Pooling", "LRN", "FullyConnected", "Softmax",
    ]  # fmt: skip
    assert [(block.name, block.shape) for block in model.netfile.inputs] == [("data", (2, 6, 6))]
    assert any("logprob" in note and "training only" in note for note in model.notes)


def test_kernels_are_stored_by_channels_and_are_not_mirrored(tmp_path: Path) -> None:
    np.testing.assert_allclose(computed(tmp_path, conv()), convolved((0, 0), 1), atol=1e-4)


@pytest.mark.parametrize("padding", [1, -1])
def test_padding_of_either_sign_is_padding(tmp_path: Path, padding: int) -> None:
    np.testing.assert_allclose(computed(tmp_path, conv(padding=[padding])), convolved((1, 1), 1), atol=1e-4)


def test_the_number_of_windows_is_rounded_up(tmp_path: Path) -> None:
    """Beyond the image there are zeros: 6 pixels have three windows of 3 at a stride of 2, not two."""
    found = computed(tmp_path, conv(stride=[2]))
    assert found.shape == (2, 4, 3, 3)
    np.testing.assert_allclose(found, convolved((0, 1), 2), atol=1e-4)
    np.testing.assert_allclose(computed(tmp_path, conv(stride=[2], modulesX=2)), convolved((0, 0), 2), atol=1e-4)


def test_groups_see_their_own_channels(tmp_path: Path) -> None:
    found = computed(tmp_path, conv(groups=[2], weights=[values(9, 4)]))
    windows = np.lib.stride_tricks.sliding_window_view(images(), (3, 3), axis=(2, 3))
    stored = values(9, 4).reshape(3, 3, 4)
    halves = [np.einsum("nhwij,ijo->nohw", windows[:, g], stored[:, :, 2 * g : 2 * g + 2]) for g in (0, 1)]
    np.testing.assert_allclose(found, np.concatenate(halves, 1) + values(4, 1).reshape(1, 4, 1, 1), atol=1e-4)


def test_fully_connected_weights_are_turned(tmp_path: Path) -> None:
    layer = one("fc", outputs=5, weights=[values(72, 5)], biases=values(1, 5))
    wanted = images().reshape(2, 72) @ values(72, 5) + values(1, 5)
    np.testing.assert_allclose(computed(tmp_path, layer), wanted, atol=1e-4)


def test_a_mean_divides_by_the_pixels_that_are_there(tmp_path: Path) -> None:
    found = computed(tmp_path, one("pool", pool="avg", sizeX=3, stride=2, start=-1, outputsX=3))
    x = images()
    assert found.shape == (2, 2, 3, 3)
    np.testing.assert_allclose(found[:, :, 0, 0], x[:, :, :2, :2].mean(axis=(2, 3)), atol=1e-5)
    np.testing.assert_allclose(found[:, :, 1, 1], x[:, :, 1:4, 1:4].mean(axis=(2, 3)), atol=1e-5)


def test_scales_of_normalisations_are_divided_already(tmp_path: Path) -> None:
    x = images()
    across = computed(tmp_path, one("cmrnorm", size=3, scale=0.1, pow=0.75))
    np.testing.assert_allclose(across, x / (1 + 0.1 * (x**2 + x[:, ::-1] ** 2)) ** 0.75, atol=1e-5)
    squares = np.lib.stride_tricks.sliding_window_view(np.pad(x**2, ((0, 0), (0, 0), (1, 1), (1, 1))), (3, 3), (2, 3))
    within = computed(tmp_path, one("rnorm", size=3, scale=0.1, pow=0.75))
    np.testing.assert_allclose(within, x / (1 + 0.1 * squares.sum(axis=(4, 5))) ** 0.75, atol=1e-5)


NEURONS: dict[str, tuple[dict[str, Any], Any]] = {
    "relu": ({}, lambda x: np.maximum(x, 0)),
    "brelu": ({"a": 0.5}, lambda x: np.clip(x, 0, 0.5)),
    "softrelu": ({}, lambda x: np.log1p(np.exp(x))),
    "logistic": ({}, lambda x: 1 / (1 + np.exp(-x))),
    "tanh": ({"a": 1.5, "b": 0.5}, lambda x: 1.5 * np.tanh(0.5 * x)),
    "abs": ({}, abs),
    "square": ({}, np.square),
    "linear": ({"a": 2.0, "b": 1.0}, lambda x: 2 * x + 1),
}


@pytest.mark.parametrize("kind", NEURONS)
def test_neurons(tmp_path: Path, kind: str) -> None:
    params, function = NEURONS[kind]
    found = computed(tmp_path, one("neuron", neuron={"type": kind, "params": params}))
    np.testing.assert_allclose(found, function(images()), rtol=1e-5, atol=1e-5)


def test_dropout_leaves_a_factor_behind(tmp_path: Path) -> None:
    assert read(tmp_path, one("dropout", keep=0.25)).layers[0].keys == {"scale": 0.25}
    inner = one("dropout2", keep=0.25)
    (block,) = read(tmp_path, inner, {"type": "softmax", "name": "s", "inputs": [1]}).layers
    assert block.type == "Softmax"


def test_sums_and_maxima_read_several_layers_by_number_or_name(tmp_path: Path) -> None:
    twice = one("neuron", name="twice", neuron={"type": "linear", "params": {"a": 2.0, "b": 0.0}})
    added = {"type": "eltsum", "name": "sum", "inputs": ["data", "twice"], "coeffs": [1.0, -1.0]}
    np.testing.assert_allclose(computed(tmp_path, twice, added), -images(), atol=1e-6)


def test_everything_that_stands_in_the_way_is_listed(tmp_path: Path) -> None:
    with pytest.raises(ImportFailure) as caught:
        read(
            tmp_path,
            one("local", name="local3"),
            conv(name="short", weights=[values(17, 4)]),
            one("neuron", name="odd", neuron={"type": "maxout", "params": {}}),
            one("pool", name="late", pool="max", sizeX=3, stride=2, start=1),
            one("softmax", name="lost", inputs=[99]),
        )
    found = [f"{p.message} | {p.hint or p.expected}" for p in caught.value.problems]
    wanted = [
        'layer 1 "local3" (local): it is not supported | each place has weights of its own; the nearest',
        'layer 2 "short" (conv): its weights has 68 values | 72',
        'layer 3 "odd" (neuron): the neuron "maxout" | ident, relu, brelu, softrelu, logistic, tanh',
        'layer 4 "late" (pool): pooling that starts at 1 | 0, or less than a window before the image',
        'layer 5 "lost" (softmax): it reads a layer that does not come before it | ',
    ]
    assert len(found) == len(wanted)
    for text, start in zip(found, wanted, strict=True):
        assert text.startswith(start)


def test_options_are_records_and_other_classes_are_refused(tmp_path: Path) -> None:
    whole = pickled(checkpoint(small_layers()))
    for name, refused in ((b"options\nOptionsParser", False), (b"os\nsystem", True)):
        path = tmp_path / "1.5"
        path.write_bytes(whole.replace(b"U\x02opN", b"U\x02opc" + name + b"\n)\x81}b"))
        if refused:
            with pytest.raises(ImportFailure, match=r'needs "os\.system"'):
                CudaConvnetImporter().read([path])
        else:
            assert CudaConvnetImporter().read([path])


@pytest.mark.parametrize("value", [{"model_state": {"x": values(1)}}, {"model_state": values(1)}, {"layers": []}])
def test_what_has_no_layers_is_refused(tmp_path: Path, value: Any) -> None:
    (tmp_path / "1.5").write_bytes(pickled(value))
    with pytest.raises(ImportFailure, match="has no layers"):
        CudaConvnetImporter().read([tmp_path / "1.5"])


def test_it_comes_in_by_the_plugin_door() -> None:
    assert isinstance(plugin_host().importers()["cuda-convnet"], CudaConvnetImporter)
