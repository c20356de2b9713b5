"""Affine layers (batch normalisation) in the weights before them: when, with what result, at what cost in memory."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnrt import Net
from cnnrt.errors import PluginError
from cnnrt.keys import integer
from cnnrt.layer import Array, Layer, Shape, WeightSpec
from cnnrt_layers import BatchNorm, ReLU, Scale
from core_suite.plain_evaluation import all_values
from core_suite.plugins_in_memory import built_in, entry_point, host_of, plugin
from core_suite.small_networks import filters, images, write_network
from netfile_spec import InputBlock, LayerBlock, layer, write_parameters

IMAGE = InputBlock("data", (2, 6, 6))


def statistics(channels: int, seed: int = 0) -> dict[str, Array]:
    random = np.random.default_rng(seed)
    terms = random.standard_normal((3, channels), dtype=np.float32)
    variance = random.random(channels, np.float32) + np.float32(0.1)
    return {"mean": terms[0], "variance": variance, "scale": terms[1], "shift": terms[2]}


def network(folder: Path, layers: Sequence[LayerBlock], **options: Any) -> Net:
    """Return a network on 2×6×6 images whose layers have weights by their types."""
    weights: dict[str, Mapping[str, Array]] = {
        "Convolution": filters(1, 4, 2, 3, 3, bias=options.pop("bias", True)),
        "FullyConnected": filters(2, 4, 72),
        "BatchNorm": statistics(options.pop("channels", 4)),
    }
    parameters = {block.name: weights[block.type] for block in layers if block.type in weights}
    return Net(write_network(folder, layers, parameters, inputs=[IMAGE]), **options)


CONV, NORM, RELU = layer("Convolution", "conv"), layer("BatchNorm", "norm"), layer("ReLU", "relu")


def titles(net: Net, outputs: Sequence[str] | None = None) -> list[str]:
    return [row.title for row in net.prepare(outputs=outputs).rows]


def assert_right(net: Net, x: Array) -> None:
    """Assert that the network's outputs are those of its layers one by one, up to rounding."""
    plain = all_values(net.graph, {"data": x})
    for name, got in net.compute(x, outputs=net.graph.outputs).items():
        assert np.abs(got - plain[name]).max() <= 1e-5 * np.abs(plain[name]).max()


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("before", [CONV, layer("FullyConnected", "conv")], ids=lambda block: block.type)
def test_it_goes_into_the_weights_before_it(tmp_path: Path, before: LayerBlock, bias: bool) -> None:
    net = network(tmp_path, [before, NORM, RELU], bias=bias)
    assert titles(net) == ["conv + norm + relu"]
    assert net.plan.rows[0].type == before.type
    assert "norm multiplied into the weights of conv" in net.plan.notes
    assert_right(net, images(3, 2, 6, 6))


def test_several_in_a_row_become_one_factor_and_one_offset(tmp_path: Path) -> None:
    net = network(tmp_path, [CONV, NORM, layer("BatchNorm", "second", epsilon=0.1), RELU], bias=False)
    assert titles(net) == ["conv + norm + second + relu"]
    assert_right(net, images(3, 2, 6, 6))


def test_the_product_is_rounded_once(tmp_path: Path) -> None:
    net = network(tmp_path, [layer("FullyConnected", "conv"), NORM])
    (node,) = net.graph.nodes[:1]
    assert node.weights is not None
    stored = node.weights.load(node.weights.shapes)
    terms = {name: w.astype(np.float64) for name, w in statistics(4).items()}
    factor = terms["scale"] / np.sqrt(terms["variance"] + 1e-5)
    offset = terms["shift"] - terms["mean"] * factor
    one_hot = np.zeros((1, 2, 6, 6), np.float32)
    one_hot[0, 0, 0, 0] = 1
    zero = net.compute(np.zeros_like(one_hot))[0]
    np.testing.assert_array_equal(zero, (stored["bias"] * factor + offset).astype(np.float32))
    column = (stored["weight"][:, 0] * factor).astype(np.float32)
    np.testing.assert_array_equal(net.compute(one_hot)[0], column + zero)


def test_asking_for_the_value_between_undoes_it_for_that_call(tmp_path: Path) -> None:
    net = network(tmp_path, [CONV, NORM, RELU])
    x = images(2, 2, 6, 6)
    folded = net.compute(x)
    assert titles(net, ["conv", "relu"]) == ["conv", "norm + relu"]
    assert "norm not folded into conv: the value 'conv' was requested" in net.plan.notes
    apart = net.compute(x, outputs=["conv", "relu"])
    np.testing.assert_allclose(apart["relu"], folded, atol=1e-5)
    plain = all_values(net.graph, {"data": x})
    np.testing.assert_allclose(apart["conv"], plain["conv"], atol=1e-5)
    # The folded weights of the first call are still what they were.
    np.testing.assert_array_equal(net.compute(x), folded)


@pytest.mark.parametrize(
    ("layers", "channels", "expected"),
    [
        ([CONV, RELU, NORM], 4, ["conv + relu", "norm"]),
        ([layer("Pooling", "pool", kernel_size=2), NORM], 2, ["pool", "norm"]),
        ([NORM, RELU], 2, ["norm + relu"]),
        ([CONV, NORM, layer("Eltwise", "sum", bottom=["conv", "norm"])], 4, ["conv", "norm", "sum"]),
    ],
)
def test_it_stays_where_it_cannot_go_into_weights(
    tmp_path: Path, layers: Sequence[LayerBlock], channels: int, expected: Sequence[str]
) -> None:
    net = network(tmp_path, layers, channels=channels)
    assert titles(net) == expected
    assert_right(net, images(3, 2, 6, 6))


def test_outputs_that_are_no_channels_are_left_alone(tmp_path: Path) -> None:
    """A product along the last axis of (N, 2, 6, 6) has its outputs there; the norm's channels are axis 1."""
    layers = [layer("FullyConnected", "fc", axis=-1), layer("BatchNorm", "norm")]
    parameters = {"fc": filters(1, 2, 6), "norm": statistics(2)}
    net = Net(write_network(tmp_path, layers, parameters, inputs=[IMAGE]))
    assert titles(net) == ["fc", "norm"]
    assert_right(net, images(3, 2, 6, 6))


def test_it_folds_what_no_dropped_layer_is_between(tmp_path: Path) -> None:
    assert titles(network(tmp_path, [CONV, layer("Dropout", "drop"), NORM])) == ["conv + norm"]


def test_layers_that_share_a_file_keep_their_own_norms(tmp_path: Path) -> None:
    weights = filters(1, 4, 2, 3, 3)
    layers = [
        layer("Convolution", "a"),
        layer("BatchNorm", "norm_a"),
        layer("Convolution", "b", bottom="data"),
        layer("BatchNorm", "norm_b"),
        layer("Convolution", "c", bottom="data"),
        layer("Eltwise", "sum", bottom=["norm_a", "norm_b", "c"]),
    ]
    parameters = {"a": weights, "b": weights, "c": weights, "norm_a": statistics(4, 1), "norm_b": statistics(4, 2)}
    net = Net(write_network(tmp_path, layers, parameters, inputs=[IMAGE]))
    assert len({node.weights.path for node in net.graph.nodes if node.weights}) == 3
    assert titles(net) == ["a + norm_a", "b + norm_b", "c", "sum"]
    assert_right(net, images(3, 2, 6, 6))


def test_weights_stored_as_one_flat_list(tmp_path: Path) -> None:
    flat = {**filters(2, 4, 72)}
    flat["weight"] = flat["weight"].reshape(-1)
    layers = [layer("FullyConnected", "fc"), NORM]
    net = Net(write_network(tmp_path, layers, {"fc": flat, "norm": statistics(4)}, inputs=[IMAGE]))
    assert titles(net) == ["fc + norm"]
    assert_right(net, images(3, 2, 6, 6))


def large(folder: Path) -> Path:
    """Write a network whose first file has 648 KiB and whose second has 2.5 KiB."""
    layers = [layer("FullyConnected", "fc"), NORM]
    parameters = {"fc": filters(1, 160, 1036, bias=False), "norm": statistics(160)}
    return write_network(folder, layers, parameters, inputs=[InputBlock("data", (1, 28, 37))])


def test_resident_and_streamed_weights_give_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cnnrt_backend_sequential.fully_connected.BLOCK_BYTES", 1 << 16)
    path, x = large(tmp_path), images(2, 1, 28, 37)
    results = []
    least = Net(path).plan_for((2, 1, 28, 37)).memory.least / 2**20
    for ceiling, stays in ((100, True), (1.5, True), (least, False)):
        with Net(path, allocated_ram=ceiling) as net:
            results.append(net.compute(x))
            row, memory = net.plan.rows[0], net.plan.memory
            assert row.weight_bytes == 4 * (160 * 1036 + 160)
            assert (memory.resident, memory.streamed) == ((row.weight_bytes, 0) if stays else (0, row.weight_bytes))
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


def test_a_file_that_changes_underneath_is_noticed(tmp_path: Path) -> None:
    net = Net(large(tmp_path))
    write_parameters(tmp_path / "norm.msg", statistics(150))
    with pytest.raises(Exception, match="the file has changed since the network was read"):
        net.compute(images(2, 1, 28, 37))


def test_variances_that_are_none_give_what_they_give_without_folding(tmp_path: Path) -> None:
    wrong = statistics(4)
    wrong["variance"][:2] = -1, np.inf
    net = Net(write_network(tmp_path, [CONV, NORM], {"conv": filters(1, 4, 2, 3, 3), "norm": wrong}, inputs=[IMAGE]))
    x = images(1, 2, 6, 6)
    folded = net.compute(x)
    apart = net.compute(x, outputs=["conv", "norm"])["norm"]
    np.testing.assert_array_equal(np.isnan(folded), np.isnan(apart))
    assert np.isnan(folded[:, 0]).all()
    assert np.isfinite(folded[:, 1:]).all()


@attrs.frozen(kw_only=True)
class Gain(Layer):
    """Multiplies each channel by a weight; `terms` of them are given to whom it is folded into."""

    type = "Gain"
    weights = (WeightSpec("gain", "(C)", "factor of each channel"),)
    terms: int = integer(4, doc="how many")

    def output_shapes(self, inputs: Sequence[Shape], weights: Mapping[str, Shape]) -> tuple[Shape, ...]:
        return (inputs[0],)

    def is_affine(self, inputs: Sequence[Shape], weights: Mapping[str, Shape]) -> bool:
        return True

    def affine_terms(self, weights: Mapping[str, Array]) -> tuple[Array, Array]:
        return weights["gain"][: self.terms].astype(np.float64), np.zeros(self.terms)

    def reference(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        return (inputs[0] * weights["gain"].reshape(-1, *[1] * (inputs[0].ndim - 2)),)


@pytest.mark.parametrize("terms", [4, 3])
def test_a_strangers_layer_is_folded_by_what_it_says(tmp_path: Path, terms: int) -> None:
    host = host_of(*built_in("layer", "backend"), entry_point("layer.gain", plugin(cnnrt_layers=lambda: [Gain])))
    parameters = {"conv": filters(1, 4, 2, 3, 3), "gain": {"gain": np.float32([1, 2, -3, 0.5])}}
    path = write_network(tmp_path, [CONV, layer("Gain", "gain", terms=terms)], parameters, inputs=[IMAGE])
    net = Net(path, plugins=host)
    if terms == 4:
        assert titles(net) == ["conv + gain"]
        assert_right(net, images(3, 2, 6, 6))
    else:
        with pytest.raises(PluginError, match=r"'gain' \(Gain\): its class gives terms of shape 3 for 4 channels"):
            net.compute(images(1, 2, 6, 6))


def test_a_scale_of_the_channels_goes_into_the_weights_before_it_and_no_other(tmp_path: Path) -> None:
    factors = np.float32([1, -2, 3, 0.5])
    scale = {"conv": filters(1, 4, 2, 3, 3), "norm": statistics(4), "scale": {"scale": factors, "bias": factors + 1}}
    blocks = [CONV, NORM, layer("Scale", "scale"), RELU]
    net = Net(write_network(tmp_path / "channels", blocks, scale, inputs=[IMAGE]))
    assert titles(net) == ["conv + norm + scale + relu"]
    assert_right(net, images(3, 2, 6, 6))
    blocks[2] = layer("Scale", "scale", axis=2)
    net = Net(write_network(tmp_path / "rows", blocks, scale, inputs=[IMAGE]))
    assert titles(net) == ["conv + norm", "scale + relu"]
    assert_right(net, images(3, 2, 6, 6))


@pytest.mark.parametrize("kept", [("mean", "variance"), ("mean", "variance", "scale", "shift")])
def test_where_no_weights_come_before_them_batch_norm_takes_what_follows(tmp_path: Path, kept: Sequence[str]) -> None:
    """As in DenseNet, whose normalisations follow a Concat; Caffe has them in two layers."""
    norm = {name: w for name, w in statistics(2).items() if name in kept}
    scale = {"norm": norm, "scale": {"scale": np.float32([2, -3])}}
    net = Net(write_network(tmp_path, [NORM, layer("Scale", "scale"), RELU], scale, inputs=[IMAGE]))
    assert titles(net) == ["norm + scale + relu"]
    assert "scale multiplied into the weights of norm" in net.plan.notes
    assert_right(net, images(3, 2, 6, 6))


def test_which_layers_say_so() -> None:
    shape, channels = (1, 3, 4, 4), {"scale": (3,)}
    assert BatchNorm().is_affine([shape], channels)
    assert Scale().is_affine([shape], channels)
    assert Scale(axis=-3).is_affine([shape], channels)
    assert not Scale(axis=2).is_affine([(1, 3, 3, 3)], channels)
    assert not Scale().is_affine([shape], {"scale": (3, 4)})
    assert not Scale().is_affine([shape], {"scale": (1,)})
    assert not Scale().is_affine([shape, (3,)], {"bias": (3,)})
    assert not ReLU().is_affine([shape], {})


@given(st.data())
@settings(max_examples=40)
def test_random_chains_compute_what_their_layers_do(data: st.DataObject) -> None:
    blocks: list[LayerBlock] = []
    parameters: dict[str, Mapping[str, Array]] = {}
    for i in range(data.draw(st.integers(1, 6))):
        kind = data.draw(st.sampled_from(["conv", "norm", "norm", "scale", "relu", "sum"]))
        name, before = f"l{i}", blocks[-1].name if blocks else "data"
        if kind == "conv":
            blocks.append(layer("Convolution", name, pad=1))
            parameters[name] = filters(i, 2, 2, 3, 3, bias=data.draw(st.booleans()))
        elif kind == "norm":
            blocks.append(layer("BatchNorm", name))
            kept = ["mean", "variance", *data.draw(st.sampled_from([(), ("scale",), ("shift",), ("scale", "shift")]))]
            parameters[name] = {k: w for k, w in statistics(2, i).items() if k in kept}
        elif kind == "scale":
            blocks.append(layer("Scale", name))
            parameters[name] = {"scale": np.float32([2, -1]), "bias": np.float32([0.5, 3])}
        elif kind == "relu":
            blocks.append(layer("ReLU", name, negative_slope=data.draw(st.sampled_from([0.0, 0.5]))))
        else:
            blocks.append(layer("Eltwise", name, bottom=[before, data.draw(st.sampled_from(["data", before]))]))
    with tempfile.TemporaryDirectory() as folder:
        net = Net(write_network(Path(folder), blocks, parameters, inputs=[IMAGE]), allocated_ram=100)
        x = images(2, 2, 6, 6)
        plain = all_values(net.graph, {"data": x})[blocks[-1].name]
        got = net.compute(x)
        assert np.abs(got - plain).max() <= 1e-4 * max(1.0, float(np.abs(plain).max()))
