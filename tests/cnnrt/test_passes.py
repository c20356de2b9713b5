"""The passes: what they leave out or join, what they leave alone, and that no wanted value ever changes."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from cnnrt import Net
from cnnrt.graph import Graph
from cnnrt.passes import run_passes
from cnnrt.shapes import infer_shapes
from core_suite.plain_evaluation import all_values
from core_suite.random_networks import IMAGE, RandomNetwork, networks
from core_suite.small_networks import filters, images, write_network, write_text
from netfile_spec import InputBlock, LayerBlock, layer, write_model


def passed(folder: Path, layers: Sequence[LayerBlock], wanted: Sequence[str] | None = None) -> tuple[Graph, str]:
    """Return the graph after all passes, of a network on 2×6×6 images, and the notes."""
    weights: dict[str, Any] = {"Convolution": filters(0, 2, 2, 1, 1), "FullyConnected": filters(0, 5, 72)}
    parameters = {block.name: weights[block.type] for block in layers if block.type in weights}
    graph = Net(write_network(folder, layers, parameters)).graph
    shapes = infer_shapes(graph, {"data": (1, 2, 6, 6)})
    reduced, notes = run_passes(graph, shapes, graph.outputs if wanted is None else tuple(wanted))
    return reduced, "\n".join(notes)


def nodes_of(graph: Graph) -> list[str]:
    return ["+".join((n.name, *(f.name for f in n.folded))) for n in graph.nodes]


RELU = layer("ReLU", "relu")


@pytest.mark.parametrize(
    "before",
    [layer("Convolution", "x"), layer("FullyConnected", "x"), layer("Pooling", "x", kernel_size=2)],
    ids=lambda block: block.type,
)
def test_relu_is_folded_into_the_layer_before_it(tmp_path: Path, before: LayerBlock) -> None:
    graph, _ = passed(tmp_path, [before, RELU])
    assert nodes_of(graph) == ["x+relu"]
    assert graph.nodes[0].outputs == ("relu",)


@pytest.mark.parametrize("before", [layer("LRN", "x"), layer("Softmax", "x")], ids=lambda block: block.type)
def test_relu_is_not_folded_into_a_layer_that_cannot_apply_it(tmp_path: Path, before: LayerBlock) -> None:
    graph, _ = passed(tmp_path, [before, RELU])
    assert nodes_of(graph) == ["x", "relu"]


def test_several_in_a_row_are_folded_in_their_order(tmp_path: Path) -> None:
    blocks = [layer("Convolution", "x"), layer("ReLU", "leaky", negative_slope=0.5), RELU]
    graph, _ = passed(tmp_path, blocks)
    assert nodes_of(graph) == ["x+leaky+relu"]


def test_a_value_that_somebody_else_reads_is_not_folded_away(tmp_path: Path) -> None:
    blocks = [layer("Convolution", "x"), RELU, layer("Eltwise", "sum", bottom=["x", "relu"])]
    assert nodes_of(passed(tmp_path, blocks)[0]) == ["x", "relu", "sum"]


def test_of_two_that_read_one_value_neither_is_folded(tmp_path: Path) -> None:
    graph, _ = passed(tmp_path, [layer("Convolution", "x"), RELU, layer("ReLU", "other", bottom="x")])
    assert nodes_of(graph) == ["x", "relu", "other"]


def test_a_value_that_was_requested_is_not_folded_away_and_the_notes_say_so(tmp_path: Path) -> None:
    graph, notes = passed(tmp_path, [layer("Convolution", "x"), RELU], wanted=["x", "relu"])
    assert nodes_of(graph) == ["x", "relu"]
    assert "relu not folded into x: the value 'x' was requested" in notes


@pytest.mark.parametrize(
    "idle",
    [
        layer("Dropout", "idle"),
        layer("Concat", "idle"),
        layer("Eltwise", "idle"),
    ],
    ids=lambda block: block.type,
)
def test_a_layer_that_does_nothing_in_inference_is_dropped(tmp_path: Path, idle: LayerBlock) -> None:
    graph, notes = passed(tmp_path, [layer("LRN", "x"), idle, layer("LRN", "y")])
    assert nodes_of(graph) == ["x", "y"]
    assert graph.nodes[1].inputs == ("x",)
    assert f"idle dropped: {idle.type} does nothing in inference" in notes


def test_folding_sees_through_what_was_dropped(tmp_path: Path) -> None:
    graph, _ = passed(tmp_path, [layer("Convolution", "x"), layer("Dropout", "d"), RELU])
    assert nodes_of(graph) == ["x+relu"]


def test_a_requested_value_of_a_layer_that_does_nothing_stays(tmp_path: Path) -> None:
    graph, notes = passed(tmp_path, [layer("LRN", "x"), layer("Dropout", "d")])
    assert nodes_of(graph) == ["x", "d"]
    assert "d does nothing in inference, but stays: its value was requested" in notes


def residual_block(*after: LayerBlock, **keys: Any) -> list[LayerBlock]:
    """Return a convolution `c` of a sum `add` with `x`, two layers before, and what follows."""
    return [
        layer("LRN", "x"),
        layer("LRN", "y", bottom="x"),
        layer("Convolution", "c", bottom="y"),
        layer("Eltwise", "add", bottom=["x", "c"], **keys),
        *after,
    ]


def test_a_sum_is_folded_into_the_convolution_that_gives_a_summand_and_reads_the_other_one(tmp_path: Path) -> None:
    graph, _ = passed(tmp_path, residual_block(RELU))
    assert nodes_of(graph) == ["x", "y", "c+add+relu"]
    assert (graph.nodes[2].inputs, graph.nodes[2].outputs) == (("y", "x"), ("relu",))
    assert graph.nodes[2].own_inputs == ("y",)


def test_of_two_convolutions_the_later_one_adds_so_that_the_other_summand_is_there(tmp_path: Path) -> None:
    blocks = [layer("Convolution", name, bottom="data") for name in ("a", "b")]
    for inputs in (["a", "b"], ["b", "a"]):
        graph, _ = passed(tmp_path, [*blocks, layer("Eltwise", "add", bottom=inputs)])
        assert nodes_of(graph) == ["a", "b+add"]
        assert graph.nodes[1].inputs == ("data", "a")


def test_a_sum_with_a_later_value_is_computed_when_that_is_there(tmp_path: Path) -> None:
    blocks = [layer("Convolution", "c"), layer("LRN", "x", bottom="data"), layer("Eltwise", "add", bottom=["c", "x"])]
    graph, _ = passed(tmp_path, blocks)
    assert nodes_of(graph) == ["x", "c+add"]


def test_a_convolution_adds_once_and_a_second_sum_stays(tmp_path: Path) -> None:
    graph, _ = passed(tmp_path, residual_block(layer("Eltwise", "more", bottom=["add", "y"])))
    assert nodes_of(graph) == ["x", "y", "c+add", "more"]


@pytest.mark.parametrize("keys", [{"operation": "max"}, {"operation": "mean"}, {"coeff": [1, -1]}], ids=str)
def test_what_is_no_plain_sum_is_not_folded(tmp_path: Path, keys: dict[str, Any]) -> None:
    assert nodes_of(passed(tmp_path, residual_block(**keys))[0]) == ["x", "y", "c", "add"]


def test_a_sum_that_repeats_a_summand_is_not_folded(tmp_path: Path) -> None:
    blocks = [
        layer("Pooling", "mean", pool="mean", global_pooling=True),
        layer("Convolution", "c", bottom="data"),
        layer("Eltwise", "add", bottom=["mean", "c"]),
    ]
    assert nodes_of(passed(tmp_path, blocks)[0]) == ["mean", "c", "add"]


def test_a_convolution_added_to_itself_is_not_folded_away(tmp_path: Path) -> None:
    graph, _ = passed(tmp_path, [layer("Convolution", "c"), layer("Eltwise", "add", bottom=["c", "c"])])
    assert nodes_of(graph) == ["c", "add"]


def test_a_sum_of_a_requested_value_is_folded_into_the_other_summand_or_stays(tmp_path: Path) -> None:
    blocks = [layer("Convolution", name, bottom="data") for name in ("a", "b")]
    blocks.append(layer("Eltwise", "add", bottom=["a", "b"]))
    assert nodes_of(passed(tmp_path, blocks, wanted=["b", "add"])[0]) == ["b", "a+add"]
    graph, notes = passed(tmp_path, residual_block(), wanted=["c", "add"])
    assert nodes_of(graph) == ["x", "y", "c", "add"]
    assert "add not folded into c: the value 'c' was requested" in notes


def shuffle(folder: Path, order: Sequence[int] = (0, 2, 1, 3, 4), *more: LayerBlock) -> Net:
    """Return a network that brings the channels of 6×4×5 images to other places by way of five axes."""
    layers = [
        layer("Reshape", "apart", shape=[0, 3, 2, 4, 5]),
        layer("Permute", "swapped", order=list(order)),
        layer("Reshape", "joined", shape=[0, 6, 4, 5]),
        *more,
    ]
    return Net(write_network(folder, layers, inputs=[InputBlock("data", (6, 4, 5))]))


def nodes_after_passes(net: Net, wanted: Sequence[str]) -> list[str]:
    shapes = infer_shapes(net.graph, {"data": (2, 6, 4, 5)})
    return [node.layer.type for node in run_passes(net.graph, shapes, wanted)[0].nodes]


@pytest.mark.parametrize("order", [(0, 2, 1, 3, 4), (0, 2)])
def test_three_layers_that_shuffle_channels_become_one(tmp_path: Path, order: Sequence[int]) -> None:
    net = shuffle(tmp_path, order)
    assert nodes_after_passes(net, ["joined"]) == ["ChannelShuffle"]
    x = images(2, 6, 4, 5)
    expected = x.reshape(2, 3, 2, 4, 5).swapaxes(1, 2).reshape(x.shape)
    assert np.array_equal(net.compute(x), expected)
    whole = net.compute(x, outputs=["swapped", "joined"])
    assert np.array_equal(whole["joined"], expected)


def test_what_moves_other_axes_is_no_shuffle(tmp_path: Path) -> None:
    net = shuffle(tmp_path, (0, 2, 1, 4, 3))
    assert nodes_after_passes(net, ["joined"]) == ["Reshape", "Permute", "Reshape"]


def test_a_shuffle_whose_inner_values_are_needed_stays_as_it_is(tmp_path: Path) -> None:
    net = shuffle(tmp_path / "one")
    assert nodes_after_passes(net, ["swapped", "joined"]) == ["Reshape", "Permute", "Reshape"]
    net = shuffle(tmp_path / "other", (0, 2, 1, 3, 4), layer("ReLU", "relu", bottom="swapped"))
    assert nodes_after_passes(net, ["relu", "joined"]) == ["Reshape", "Permute", "Reshape", "ReLU"]


def test_what_no_requested_value_needs_is_left_out(tmp_path: Path) -> None:
    blocks = [layer("LRN", "x"), layer("LRN", "aside", bottom="data"), layer("LRN", "y", bottom="x")]
    graph, notes = passed(tmp_path, blocks, wanted=["x"])
    assert nodes_of(graph) == ["x"]
    assert notes.splitlines() == [
        f"not computed, since no requested output needs it: {name}" for name in ("aside", "y")
    ]


def test_an_unneeded_branch_need_not_be_handed_its_input(tmp_path: Path) -> None:
    path = write_text(
        tmp_path,
        """
        input { name: "a" shape: [1, 2, 2] }
        input { name: "b" shape: [1, 2, 2] }
        layer { type: "ReLU" name: "ra" bottom: "a" }
        layer { type: "ReLU" name: "rb" bottom: "b" }
        """,
    )
    x = images(3, 1, 2, 2)
    np.testing.assert_array_equal(Net(path).compute({"b": x}, outputs=["rb"])["rb"], np.maximum(x, 0))


@given(networks())
@settings(max_examples=60)
def test_passes_never_change_a_wanted_value(network: RandomNetwork) -> None:
    with tempfile.TemporaryDirectory() as folder:
        graph = Net(write_model(folder, network.netfile, network.parameters)).graph
        given_images = {i.name: images(2, *IMAGE, seed=k) for k, i in enumerate(graph.inputs)}
        plain = all_values(graph, given_images)
        shapes = infer_shapes(graph, {name: x.shape for name, x in given_images.items()})
        reduced, _ = run_passes(graph, shapes, network.wanted)
        after = all_values(reduced, {i.name: given_images[i.name] for i in reduced.inputs})
    assert len(reduced.nodes) <= len(graph.nodes)
    for value in network.wanted:
        # Folding applies the same function to the same float32 values: not one bit may differ.
        np.testing.assert_array_equal(after[value], plain[value])


@given(networks())
@settings(max_examples=60)
def test_a_net_computes_what_its_layers_references_do(network: RandomNetwork) -> None:
    with tempfile.TemporaryDirectory() as folder:
        net = Net(write_model(folder, network.netfile, network.parameters))
        given_images = {i.name: images(2, *IMAGE, seed=k) for k, i in enumerate(net.graph.inputs)}
        plain = all_values(net.graph, given_images)
        needed = {i.name for i in net.graph.needed_inputs(network.wanted)}
        handed_in = {k: x for k, x in given_images.items() if k in needed or len(given_images) == 1}
        before = {name: x.copy() for name, x in handed_in.items()}
        values = net.compute(handed_in, outputs=network.wanted)
    assert set(values) == set(network.wanted)
    for name, x in handed_in.items():
        np.testing.assert_array_equal(x, before[name])
    for name, value in values.items():
        scale = max(1.0, float(np.abs(plain[name]).max()))
        assert value.shape == plain[name].shape
        assert float(np.abs(value - plain[name]).max()) <= 1e-4 * scale
