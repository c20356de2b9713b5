"""Memory layouts: kernels may keep values in another order; each change is a visible step, and nobody else notices."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from cnnrt import Net
from cnnrt.errors import PlacementError
from cnnrt.layouts import logical_view, physical_shape
from cnnrt.plugins import PluginHost
from cnnrt.tensor import TensorType
from core_suite.plugins_in_memory import host_with_backends
from core_suite.random_networks import IMAGE, RandomNetwork, networks
from core_suite.small_networks import filters, images, write_network, write_text
from core_suite.toy_backend import ToyBackend, ToyKernel
from netfile_spec import layer, write_model

NHWC: dict[str, Any] = {"takes": "NHWC", "gives": "NHWC"}


def test_a_layout_changes_the_place_of_values_and_not_their_logical_order() -> None:
    tensor = TensorType((2, 3, 4, 5), layout="NHWC")
    assert physical_shape(tensor) == (2, 4, 5, 3)
    lying = np.arange(120, dtype=np.float32).reshape(physical_shape(tensor))
    view = logical_view(lying, tensor)
    assert view.shape == tensor.shape
    assert view[1, 2, 3, 4] == lying[1, 3, 4, 2]
    assert np.shares_memory(view, lying)


def test_a_layout_that_does_not_fit_the_tensor_is_an_error() -> None:
    with pytest.raises(PlacementError, match="layout 'NHWC' is not known for a tensor of 2 dimensions"):
        physical_shape(TensorType((2, 3), layout="NHWC"))
    with pytest.raises(PlacementError, match="layout 'CHWN'"):
        physical_shape(TensorType((2, 3, 4, 5), layout="CHWN"))


LAYERS = [
    layer("Convolution", "conv", pad=1),
    layer("ReLU", "relu"),
    layer("Pooling", "pool", kernel_size=2),
    layer("LRN", "norm"),
    layer("Softmax", "prob"),
]


def write(folder: Path) -> Path:
    return write_network(folder, LAYERS, {"conv": filters(0, 4, 3, 3, 3)})


def host(*kernels: ToyKernel) -> PluginHost:
    return host_with_backends([ToyBackend()], kernels)


def test_reorders_appear_where_neighbours_differ_and_only_there(tmp_path: Path) -> None:
    kernels = [
        ToyKernel("Convolution", gives="NHWC"),
        ToyKernel("Pooling", **NHWC),
        ToyKernel("LRN"),
        ToyKernel("Softmax", takes="NHWC"),
    ]
    path = write(tmp_path)
    net = Net(path, plugins=host(*kernels))
    x = images(2, 3, 6, 6)
    y = net.compute(x)
    assert [(r.layer, r.type) for r in net.plan.rows] == [
        ("conv", "Convolution"),
        ("pool", "Pooling"),
        ("reorder pool to NCHW", "Reorder"),
        ("norm", "LRN"),
        ("reorder norm to NHWC", "Reorder"),
        ("prob", "Softmax"),
    ]
    reorder = net.plan.rows[2]
    assert (reorder.backend, reorder.kernel, reorder.why) == ("core", "reorder", "NHWC is given, NCHW is taken")
    assert not reorder.fallback
    np.testing.assert_allclose(y, Net(path).compute(x), atol=1e-6)


def test_inputs_and_outputs_are_plain_whatever_the_kernels_take_and_give(tmp_path: Path) -> None:
    kernels = [ToyKernel(block.type, **NHWC) for block in LAYERS]
    path = write(tmp_path)
    net = Net(path, plugins=host(*kernels))
    x = images(2, 3, 6, 6)
    values = net.compute(x, outputs=["data", "conv", "relu", "prob"])
    assert [r.layer for r in net.plan.rows if r.type == "Reorder"] == [
        "reorder data to NHWC",
        "reorder conv to NCHW",
        "reorder relu to NCHW",
        "reorder prob to NCHW",
    ]
    for name, expected in Net(path).compute(x, outputs=list(values)).items():
        np.testing.assert_allclose(values[name], expected, atol=1e-6)
        assert values[name].flags.c_contiguous


def test_a_value_is_reordered_once_however_many_read_it(tmp_path: Path) -> None:
    text = """
        input { shape: [3, 6, 6] }
        layer { type: "LRN" name: "n" }
        layer { type: "ReLU" name: "a" bottom: "n" }
        layer { type: "ReLU" name: "b" bottom: "n" negative_slope: 0.5 }
        layer { type: "Eltwise" name: "sum" bottom: ["a", "b", "n"] }
    """
    path = write_text(tmp_path, text)
    net = Net(path, plugins=host(ToyKernel("LRN"), ToyKernel("ReLU", **NHWC), ToyKernel("Eltwise", **NHWC)))
    x = images(2, 3, 6, 6)
    np.testing.assert_allclose(net.compute(x), Net(path).compute(x), atol=1e-6)
    reorders = [r.layer for r in net.plan.rows if r.type == "Reorder"]
    assert reorders == ["reorder n to NHWC", "reorder sum to NCHW"]


def test_layers_may_be_named_as_reorders_would_be(tmp_path: Path) -> None:
    text = """
        input { shape: [3, 6, 6] }
        layer { type: "LRN" name: "n" }
        layer { type: "Dropout" name: "n (NHWC)" }
        layer { type: "LRN" name: "reorder n to NHWC" }
        layer { type: "ReLU" name: "relu" bottom: "n" }
        layer { type: "Eltwise" name: "sum" bottom: ["relu", "n (NHWC)", "reorder n to NHWC"] }
    """
    path = write_text(tmp_path, text)
    net = Net(
        path, plugins=host(ToyKernel("LRN"), ToyKernel("ReLU", **NHWC), ToyKernel("Eltwise"), ToyKernel("Dropout"))
    )
    x = images(2, 3, 6, 6)
    names = ["sum", "n (NHWC)"]
    expected = Net(path).compute(x, outputs=names)
    for name, value in net.compute(x, outputs=names).items():
        np.testing.assert_allclose(value, expected[name], atol=1e-6)


@given(networks(most_layers=7))
@settings(max_examples=40)
def test_layouts_never_change_a_wanted_value(network: RandomNetwork) -> None:
    # Kernels of both layouts in turn; what has two dimensions stays plain, by layers that these kernels do not serve.
    kernels = [
        ToyKernel("Convolution", **NHWC),
        ToyKernel("Pooling", takes="NHWC", folds=()),
        ToyKernel("Eltwise", gives="NHWC"),
        ToyKernel("Dropout"),
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = write_model(folder, network.netfile, network.parameters)
        plain = Net(path)
        given_images = {i.name: images(2, *IMAGE, seed=k) for k, i in enumerate(plain.graph.inputs)}
        needed = {i.name for i in plain.graph.needed_inputs(network.wanted)} or set(given_images)
        handed_in = {k: x for k, x in given_images.items() if k in needed}
        expected = plain.compute(handed_in, outputs=network.wanted)
        values = Net(path, plugins=host(*kernels)).compute(handed_in, outputs=network.wanted)
    for name, value in values.items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-4, atol=1e-4 * max(1, np.abs(expected[name]).max()))
