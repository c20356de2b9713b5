"""A batch in parts: where the cut is, that results are those of the whole batch, and what the receipt says."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from cnnrt import Net
from cnnrt.layer import Array
from cnnrt.passes import split_batch as module
from cnnrt.plugins import PluginHost, plugin_host
from cnnrt.shapes import infer_shapes
from cnnrt.testing.offered import offered
from cnnrt_backend_sequential.backend import SequentialBackend
from core_suite.random_networks import IMAGE, RandomNetwork, networks
from core_suite.small_networks import filters, images, write_network
from netfile_spec import LayerBlock, layer, write_model


class InParts(SequentialBackend):
    """The sequential backend, but a few items at a time."""

    def __init__(self, items: int) -> None:
        self.items = items

    def items_at_once(self, threads: int | None) -> int:
        return self.items


def host(items: int) -> PluginHost:
    known = plugin_host()
    kernels = [k for k in known.kernels().values() if k.backend == "sequential"]
    return offered(layers=list(known.layers().values()), backends=[InParts(items)], kernels=kernels)


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small networks are split as well: moving a byte costs a second, everything else nothing."""
    monkeypatch.setattr(module, "MEMORY_SECONDS", 1.0)
    monkeypatch.setattr(module, "WEIGHT_SECONDS", 0.0)
    monkeypatch.setattr(module, "STEP_SECONDS", 0.0)
    monkeypatch.setattr(module, "PART_SECONDS", 0.0)
    monkeypatch.setattr(module, "CACHED", 0)


CHAIN = [
    layer("Convolution", "conv", pad=1),
    layer("ReLU", "relu"),
    layer("Pooling", "pool", kernel_size=2, stride=2),
    layer("FullyConnected", "fc"),
    layer("Softmax", "prob"),
]
PARAMETERS = {"conv": filters(1, 4, 2, 3, 3), "fc": filters(2, 5, 36)}


def net(folder: Path, items: int, layers: Sequence[LayerBlock] = CHAIN, **keys: Any) -> Net:
    parameters = {block.name: PARAMETERS[block.name] for block in layers if block.name in PARAMETERS}
    return Net(write_network(folder, layers, parameters), plugins=host(items), **keys)


@pytest.mark.usefixtures("eager")
def test_the_cut_is_before_the_first_layer_that_joins_items_and_the_receipt_says_so(tmp_path: Path) -> None:
    plan = net(tmp_path, 2).prepare((6, 2, 6, 6))
    assert "conv to pool: 2 items at a time, 3 times, so that values stay in the cache" in plan.notes
    rows = {row.layer: row for row in plan.rows}
    assert rows["pool"].output == (6, 4, 3, 3)
    assert rows["conv"].flops == net(tmp_path / "whole", 0).prepare((6, 2, 6, 6)).rows[0].flops
    assert rows["conv"].segment != rows["fc"].segment


@pytest.mark.usefixtures("eager")
def test_results_are_those_of_the_whole_batch(tmp_path: Path) -> None:
    batch = images(6, 2, 6, 6)
    whole = net(tmp_path / "whole", 0).compute(batch)
    assert np.array_equal(net(tmp_path / "parts", 2).compute(batch), whole)
    assert np.array_equal(net(tmp_path / "singles", 1).compute(batch), whole)


@pytest.mark.usefixtures("eager")
def test_batches_that_are_no_multiple_stay_whole(tmp_path: Path) -> None:
    for batch in (1, 2, 5):
        assert not any("at a time" in note for note in net(tmp_path / str(batch), 2).prepare((batch, 2, 6, 6)).notes)


@pytest.mark.usefixtures("eager")
def test_a_value_that_is_asked_for_is_computed_whole(tmp_path: Path) -> None:
    batch = images(4, 2, 6, 6)
    found = net(tmp_path, 2).compute(batch, outputs=["conv", "pool", "prob"])
    expected = net(tmp_path / "whole", 0).compute(batch, outputs=["conv", "pool", "prob"])
    assert all(np.array_equal(found[name], expected[name]) for name in expected)


@pytest.mark.usefixtures("eager")
def test_weights_that_are_read_for_each_call_are_read_once(tmp_path: Path) -> None:
    graph = net(tmp_path, 2).graph
    shapes = infer_shapes(graph, {"data": (4, 2, 6, 6)})
    conv = graph.nodes[0].weights
    assert conv
    _, _, said = module.split_batch(graph, shapes, ["prob"], module.Split(2))
    assert "conv to pool: 2 items at a time" in said[0]
    assert not module.split_batch(graph, shapes, ["prob"], module.Split(2, streamed=frozenset({conv.key})))[2]


def test_splits_for_memory_take_fewer_and_fewer_items_and_the_first_values_shrink(tmp_path: Path) -> None:
    graph = net(tmp_path, 0).graph
    shapes = infer_shapes(graph, {"data": (12, 2, 6, 6)})
    splits = module.lean_splits(graph, shapes, ["prob"])
    assert [split.items for split in splits] == [6, 4, 3, 2, 1]
    for split in splits:
        reduced, _, said = module.split_batch(graph, shapes, ["prob"], split)
        assert "so that they take less memory" in said[0]
        assert len(reduced.nodes) == len(graph.nodes) + 2


@pytest.mark.usefixtures("eager")
def test_a_profile_adds_up_the_parts_of_a_layer(tmp_path: Path) -> None:
    times = net(tmp_path, 2).profile(images(6, 2, 6, 6)).layers
    assert [t.layer for t in times] == ["conv", "pool", "fc", "prob"]


def test_small_values_are_not_worth_it(tmp_path: Path) -> None:
    assert not any("at a time" in note for note in net(tmp_path, 2).prepare((8, 2, 6, 6)).notes)


def test_large_values_and_few_weights_are_worth_it_and_the_arena_shrinks(tmp_path: Path) -> None:
    layers = [
        layer("Convolution", "conv", pad=1),
        layer("LRN", "lrn"),
        layer("Pooling", "pool", kernel_size=8, stride=8),
    ]
    shape = (16, 2, 256, 256)
    parts, whole = (net(tmp_path / str(items), items, layers).prepare(shape) for items in (2, 0))
    assert any("conv to lrn: 2 items at a time, 8 times" in note for note in parts.notes)
    assert parts.memory.arena < whole.memory.arena


@given(networks())
@settings(max_examples=60)
@pytest.mark.usefixtures("eager")
def test_any_network_gives_what_it_gives_as_a_whole(network: RandomNetwork) -> None:
    def results(items: int) -> dict[str, Array]:
        with tempfile.TemporaryDirectory() as folder:
            made = Net(write_model(folder, network.netfile, network.parameters), plugins=host(items))
            handed = {i.name: images(6, *IMAGE, seed=n) for n, i in enumerate(made.graph.needed_inputs(network.wanted))}
            if not handed:
                handed = {made.graph.inputs[0].name: images(6, *IMAGE)}
            found: dict[str, Array] = made.compute(handed, outputs=network.wanted or made.graph.outputs)
            return found

    whole, parts = results(0), results(2)
    assert whole.keys() == parts.keys()
    for name, value in whole.items():
        np.testing.assert_array_equal(parts[name], value)
