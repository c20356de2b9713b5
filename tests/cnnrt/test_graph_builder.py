"""From a NetFile to a graph: who reads what, what values are called, and what is wrong with it, all at once."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs
import numpy as np
import pytest

from cnnrt import Net
from cnnrt.errors import InputError, NetFileError
from cnnrt.graph import Graph
from cnnrt.graph_builder import build_graph
from cnnrt.layer import Array, Layer, Shape
from cnnrt.loading import load_netfile
from cnnrt.plugins import PluginHost
from core_suite.plugins_in_memory import built_in, entry_point, host_of, plugin
from core_suite.small_networks import filters, images, write_network, write_text
from netfile_spec import InputBlock, NetFile, layer, parse_netfile


def graph_of(text: str, host: PluginHost | None = None) -> Graph:
    return build_graph(parse_netfile(text, file="net.netfile"), Path(), host)


def wiring(graph: Graph) -> dict[str, tuple[str, ...]]:
    return {node.name: node.inputs for node in graph.nodes}


def problems_of(text: str) -> list[tuple[int, int, str]]:
    with pytest.raises(NetFileError) as caught:
        graph_of(text)
    return [(p.position.line, p.position.column, p.message) for p in caught.value.problems if p.position]


def test_a_layer_without_bottom_reads_the_layer_before_it_and_the_first_reads_the_first_input() -> None:
    graph = graph_of('layer { type: "ReLU" name: "a" } layer { type: "Dropout" name: "b" }')
    assert wiring(graph) == {"a": ("data",), "b": ("a",)}
    assert [(i.name, i.shape) for i in graph.inputs] == [("data", None)]
    assert graph.outputs == ("b",)


def test_a_layer_that_needs_no_input_reads_none_unless_it_says_so(tmp_path: Path) -> None:
    """Constant: without bottom it gives its value as it is, with one a copy for each item of the batch."""
    value = np.float32([[1, 2, 3]])
    path = write_network(
        tmp_path,
        [
            layer("Constant", "offset"),
            layer("Eltwise", "sum", bottom=["data", "offset"]),
            layer("Constant", "each", bottom="data"),
        ],
        {"offset": {"value": value}, "each": {"value": value[0]}},
        inputs=[InputBlock("data", (3,))],
    )
    net = Net(path)
    assert wiring(net.graph) == {"offset": (), "sum": ("data", "offset"), "each": ("data",)}
    x = images(4, 3)
    results = net.compute(x)
    assert np.array_equal(results["sum"], x + value)
    assert np.array_equal(results["each"], np.tile(value, (4, 1)))


def test_branches_join_and_what_nobody_reads_is_an_output() -> None:
    graph = graph_of(
        """
        input { name: "left" shape: [2, 4, 4] }
        input { name: "right" shape: [2, 4, 4] }
        layer { type: "ReLU" name: "a" bottom: "left" }
        layer { type: "ReLU" name: "b" bottom: "right" }
        layer { type: "Eltwise" name: "sum" bottom: ["a", "b"] }
        layer { type: "ReLU" name: "aside" bottom: "a" }
        """
    )
    assert wiring(graph) == {"a": ("left",), "b": ("right",), "sum": ("a", "b"), "aside": ("a",)}
    assert graph.outputs == ("sum", "aside")
    assert [(i.name, i.shape) for i in graph.inputs] == [("left", (2, 4, 4)), ("right", (2, 4, 4))]


IN_PLACE = """
    layer { type: "ReLU"    name: "first"  bottom: "data" top: "x" }
    layer { type: "Dropout" name: "second" bottom: "x"    top: "x" }
    layer { type: "ReLU"    name: "third"  bottom: "x"    top: "y" }
    layer { type: "Dropout" name: "fourth" bottom: "first" }
"""


def test_a_blob_written_in_place_stands_for_its_last_writer_and_a_layers_name_for_its_own_output() -> None:
    graph = graph_of(IN_PLACE)
    assert wiring(graph) == {"first": ("data",), "second": ("first",), "third": ("second",), "fourth": ("first",)}
    assert graph.aliases == {"x": "second", "y": "third"}
    assert [graph.resolve(name) for name in ("x", "y", "first", "second")] == ["second", "third", "first", "second"]


def test_a_blob_named_as_the_layer_that_writes_it_first_keeps_both_meanings() -> None:
    # Caffe's usual form: the ReLU works in place on the blob "conv".
    graph = graph_of(
        """
        layer { type: "Dropout" name: "conv" bottom: "data" top: "conv" }
        layer { type: "ReLU"    name: "relu" bottom: "conv" top: "conv" }
        layer { type: "Dropout" name: "next" bottom: "conv" }
        """
    )
    assert wiring(graph)["next"] == ("relu",)  # in the file, "conv" is the blob: its last writer
    assert graph.resolve("conv") == "conv"  # asked for, "conv" is the layer: its own output
    assert "conv" not in graph.aliases


def test_an_in_place_layer_may_write_the_input() -> None:
    graph = graph_of(
        'layer { type: "ReLU" name: "r" bottom: "data" top: "data" } layer { type: "ReLU" name: "s" bottom: "data" }'
    )
    assert wiring(graph) == {"r": ("data",), "s": ("r",)}


def test_values_computed_in_place_are_each_those_of_their_layer(tmp_path: Path) -> None:
    path = write_text(
        tmp_path,
        """
        netfile_version: 1
        input { name: "data" shape: [2, 3, 3] }
        layer { type: "Convolution" name: "conv" bottom: "data" top: "conv" parameters_file: "w.msg" }
        layer { type: "ReLU"        name: "relu" bottom: "conv" top: "conv" }
        layer { type: "Dropout"     name: "drop" bottom: "conv" top: "conv" }
        layer { type: "Eltwise"     name: "sum"  bottom: ["conv", "data"] top: "out" }
        """,
        w=filters(0, 2, 2, 1, 1),
    )
    x = images(5, 2, 3, 3)
    values = Net(path).compute(x, outputs=["conv", "relu", "drop", "out", "sum"])
    assert (values["conv"] < 0).any()
    np.testing.assert_array_equal(values["relu"], np.maximum(values["conv"], 0))
    np.testing.assert_array_equal(values["drop"], values["relu"])
    np.testing.assert_array_equal(values["sum"], values["relu"] + x)
    np.testing.assert_array_equal(values["out"], values["sum"])


def test_the_default_input_gives_way_to_a_layer_of_its_name() -> None:
    graph = graph_of('layer { type: "ReLU" name: "data" } layer { type: "ReLU" name: "data_" }')
    assert wiring(graph) == {"data": ("data__",), "data_": ("data",)}


def test_everything_that_is_wrong_is_reported_at_once_with_its_place(tmp_path: Path) -> None:
    text = """input { name: "image" shape: [3, 8, 8] }
layer { type: "Convolution" name: "conv1" }
layer { type: "ReLU" name: "relu1" bottom: "conv2" }
layer { type: "Eltwise" name: "sum" bottom: ["conv1", "rleu1"] }
layer { type: "Convolution" name: "conv2" parameters_file: "missing.msg" }
layer { type: "ReLU" name: "image" bottom: ["sum", "conv1"] }
layer { type: "FullyConnected" name: "fc" bottom: "conv2" parameters_file: "wrong.msg" }
layer { type: "Convolution" name: "conv4" parameters_file: "../outside.msg" }
"""
    path = write_text(tmp_path, text, wrong={"gamma": np.zeros(3, np.float32)})
    with pytest.raises(NetFileError) as caught:
        build_graph(parse_netfile(text, file=str(path)), tmp_path)
    found = {p.position.line: p for p in caught.value.problems if p.position}
    assert len(caught.value.problems) == 8
    assert [p.position.line for p in caught.value.problems if p.position] == [2, 3, 4, 5, 6, 6, 7, 8]

    assert "layer 'conv1' (Convolution) has no parameters_file" in found[2].message
    assert "weight" in found[2].hint
    assert found[3].message == "bottom 'conv2' is not written yet at this point"
    assert "further down" in found[3].hint
    assert (found[4].message, found[4].hint) == ("no layer or input is named 'rleu1'", "did you mean 'relu1'?")
    assert found[4].position is not None
    assert text.splitlines()[3][found[4].position.column - 1 :].startswith('"rleu1"')
    assert "no file 'missing.msg'" in found[5].message
    assert "the name 'image' is used twice (first in line 1)" in str(caught.value)
    assert "layer 'image' (ReLU) takes 1 input, got 2" in str(caught.value)
    assert "it lacks 'weight'" in found[7].message
    assert "it has 'gamma', which is unknown" in found[7].message
    assert 'leads upwards ("..")' in found[8].message
    for line in range(2, 9):
        assert f"{path}:{line}:" in str(caught.value)


def test_a_layer_cannot_read_itself() -> None:
    [(line, _, message)] = problems_of('layer { type: "ReLU" name: "a" bottom: "a" }')
    assert (line, message) == (1, "bottom 'a' is not written yet at this point")


def test_a_netfile_without_layers_says_so() -> None:
    with pytest.raises(NetFileError, match="the NetFile has no layers"):
        graph_of('name: "empty"')


def test_weights_are_found_by_name_whatever_their_order(tmp_path: Path) -> None:
    tensors = filters(0, 4, 2, 3, 3)
    reversed_order = dict(reversed(tensors.items()))
    text = 'layer { type: "Convolution" name: "c" parameters_file: "w.msg" }'
    results = [
        Net(write_text(tmp_path / str(i), text, w=w)).compute(images(1, 2, 5, 5))
        for i, w in enumerate((tensors, reversed_order))
    ]
    np.testing.assert_array_equal(*results)


def test_a_netfile_made_in_python_is_checked_as_one_from_a_file() -> None:
    netfile = NetFile([layer("Relu6", "a"), layer("ReLU", "b", slope=1), layer("Softmax", "c", axis="x")])
    with pytest.raises(NetFileError) as caught:
        build_graph(netfile, Path())
    text = str(caught.value)
    assert "'Relu6'" in text
    assert "layer 'b'" in text
    assert "slope" in text
    assert "layer 'c': axis: expected an integer, got 'x'" in text


def test_a_hostile_netfile_is_refused_in_reasonable_time() -> None:
    # Looking for the nearest of many names for each of many wrong ones would take minutes.
    lines = (f'layer {{ type: "ReLU" name: "n{i}" bottom: "wrong{i}" }}' for i in range(5_000))
    with pytest.raises(NetFileError, match="checking stopped") as caught:
        graph_of("\n".join(lines))
    assert 50 < len(caught.value.problems) < 500


@attrs.frozen(kw_only=True)
class Halves(Layer):
    """The first and the second half of the channels."""

    type = "Halves"

    def output_shapes(self, inputs: Sequence[Shape], weights: Mapping[str, Shape]) -> tuple[Shape, ...]:
        n, c, *rest = inputs[0]
        return ((n, c // 2, *rest),) * 2

    def reference(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        first, second = np.split(inputs[0], 2, axis=1)
        return first.copy(), second.copy()


@pytest.fixture
def with_halves() -> PluginHost:
    return host_of(*built_in("layer", "backend"), entry_point("layer.h", plugin(cnnrt_layers=lambda: [Halves])))


def test_a_layer_of_several_values_gives_them_the_names_of_its_tops(tmp_path: Path, with_halves: PluginHost) -> None:
    path = write_text(
        tmp_path,
        """
        input { name: "data" shape: [4, 3, 3] }
        layer { type: "Halves"  name: "split" top: ["one", "two"] }
        layer { type: "ReLU"    name: "next" }
        layer { type: "Eltwise" name: "sum" bottom: ["next", "two"] }
        """,
    )
    x = images(2, 4, 3, 3)
    net = Net(path, plugins=with_halves)
    values = net.compute(x, outputs=["one", "two", "sum"])
    np.testing.assert_array_equal(values["one"], x[:, :2])
    np.testing.assert_array_equal(values["two"], x[:, 2:])
    np.testing.assert_array_equal(values["sum"], np.maximum(x[:, :2], 0) + x[:, 2:])
    with pytest.raises(InputError, match="no value is named 'split'"):
        net.compute(x, outputs=["split"])


def test_the_name_of_a_layer_of_several_values_is_none_of_them(with_halves: PluginHost) -> None:
    text = """
        layer { type: "Halves" name: "split" top: ["one", "two"] }
        layer { type: "ReLU" name: "a" bottom: "split" }
        layer { type: "ReLU" name: "two" bottom: "one" }
    """
    with pytest.raises(NetFileError) as caught:
        graph_of(text, with_halves)
    assert "state one of one, two" in str(caught.value)
    assert "the name 'two' is used twice (first in line 2)" in str(caught.value)


def test_a_required_plugin_that_is_not_installed_is_named_before_the_layers_that_nobody_knows(tmp_path: Path) -> None:
    path = write_text(
        tmp_path, 'netfile_version: 1\nrequires: "cnnrt-not-there"\nlayer { type: "Unheard" name: "u" bottom: "x" }'
    )
    with pytest.raises(NetFileError) as caught:
        load_netfile(path)
    first, *others = caught.value.problems
    assert "requires the plugin 'cnnrt-not-there', which is not installed" in first.message
    assert first.hint.startswith("pip install cnnrt-not-there (a plugin is a program")
    assert f"{path}:2:" in str(caught.value)
    assert any("Unheard" in p.message for p in others)


def test_a_required_plugin_that_is_not_installed_is_missed_even_where_every_layer_is_known(tmp_path: Path) -> None:
    path = write_text(tmp_path, 'requires: ["numpy", "cnnrt-not-there"]\nlayer { type: "ReLU" name: "r" }')
    with pytest.raises(NetFileError, match="requires the plugin 'cnnrt-not-there'") as caught:
        load_netfile(path)
    assert len(caught.value.problems) == 1


@pytest.mark.parametrize("name", ["a; rm -rf ~", "-e .", "../x", "a b", "git+https://host/x", "x" * 200, "\u202e"])
def test_what_is_no_name_of_a_distribution_is_never_part_of_a_command(tmp_path: Path, name: str) -> None:
    path = write_text(tmp_path, f'netfile_version: 1\nrequires: "{name}"\nlayer {{ type: "ReLU" name: "r" }}')
    with pytest.raises(NetFileError, match="which is no name of a distribution") as caught:
        load_netfile(path)
    assert "pip install" not in str(caught.value)


def test_looking_for_the_nearest_of_thousands_of_names_takes_no_minutes(tmp_path: Path) -> None:
    name = "x" * 55
    known = "".join(f'layer {{ type: "LRN" name: "{name}{i}" }}\n' for i in range(3000))
    wrong = "".join(f'layer {{ type: "ReLU" name: "b{i}" bottom: "y{name}{i}" }}\n' for i in range(150))
    started = time.process_time()
    with pytest.raises(NetFileError) as caught:
        graph_of(known + wrong)
    assert time.process_time() - started < 20
    stopped, first, *others = caught.value.problems
    assert "the first 100 problems are listed" in stopped.message
    assert "did you mean" in first.hint
    assert len(others) == 99
