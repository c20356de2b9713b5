"""A model written from arrays is one folder that reads back to the same, wherever it is carried."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any, NoReturn

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netfile_spec import (
    InputBlock,
    Layout,
    NetFile,
    NetFileError,
    ParameterFileError,
    layer,
    open_parameters,
    read_model,
    read_netfile,
    write_model,
    write_parameters,
)


def small_net(*names: str, **stated: Any) -> NetFile:
    """A NetFile with a fully connected layer of each of these names, and a ReLU."""
    layers = [layer("FullyConnected", name) for name in names]
    return NetFile(layers=(*layers, layer("ReLU", "relu")), netfile_version=1, **stated)


def small_parameters(*names: str) -> dict[str, dict[str, np.ndarray[Any, Any]]]:
    return {
        name: {"weight": np.full((2, 3), i, np.float32), "bias": np.full(2, -i, np.float32)}
        for i, name in enumerate(names)
    }


def files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_a_model_comes_back(tmp_path: Path) -> None:
    net = small_net("fc1", "fc2", inputs=[InputBlock(shape=(3,))], labels=["cat", "dog"])
    path = write_model(tmp_path / "model", net, small_parameters("fc1", "fc2"))
    assert path == tmp_path / "model" / "net.netfile"
    assert files_in(path.parent) == {"net.netfile", "fc1.msg", "fc2.msg"}

    read, parameters = read_model(path)
    assert [block.parameters_file for block in read.layers] == ["fc1.msg", "fc2.msg", None]
    assert (read.inputs, read.labels) == (net.inputs, net.labels)
    assert list(parameters) == ["fc1", "fc2"]
    assert list(parameters["fc2"]) == ["weight", "bias"]
    np.testing.assert_array_equal(parameters["fc2"]["weight"], np.ones((2, 3), np.float32))


def test_cnndroids_layout_is_written_on_demand(tmp_path: Path) -> None:
    path = write_model(tmp_path, small_net("fc1"), small_parameters("fc1"), layout="cnndroid")
    assert open_parameters(tmp_path / "fc1.msg").layout == "cnndroid"
    _, parameters = read_model(path)
    np.testing.assert_array_equal(parameters["fc1"]["1"], np.zeros(2, np.float32))


def test_writing_what_was_read_gives_the_same_files(tmp_path: Path) -> None:
    first = write_model(tmp_path / "a", small_net("fc1", "../x"), small_parameters("fc1", "../x"))
    second = write_model(tmp_path / "b", *read_model(first))
    assert files_in(first.parent) == files_in(second.parent)
    for name in files_in(first.parent):
        assert (first.parent / name).read_bytes() == (second.parent / name).read_bytes()


NAMES = ["inception_3a/1x1", "inception_3a_1x1", "..", ".", "/", "CON", "nul.x", "com1", "Conv1", "conv1", "CONV1"]
NAMES += ["-rf", "a b", "ü", "日本", "..\\x", "C:", "x" * 300, "x" * 301, "net", "a\tb", "a.msg", ".hidden"]


def test_layer_names_become_safe_and_different_file_names(tmp_path: Path) -> None:
    path = write_model(tmp_path / "model", small_net(*NAMES), small_parameters(*NAMES))
    read, parameters = read_model(path)
    files = [block.parameters_file for block in read.layers if block.parameters_file]
    assert len({file.casefold() for file in files}) == len(files) == len(NAMES)
    for file in files:
        stem = file.removesuffix(".msg")
        assert stem.isascii()
        assert not set(stem) - set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
        assert not stem.startswith((".", "-"))
        assert len(file) < 120
        assert stem.split(".")[0].casefold() not in {"con", "nul", "com1"}
    for i, name in enumerate(NAMES):
        assert parameters[name]["weight"][0, 0] == i
    assert files_in(tmp_path) == {"model", "model/net.netfile", *(f"model/{file}" for file in files)}


@given(
    st.lists(
        st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1),
        unique=True,
        max_size=6,
    )
)
@settings(max_examples=40, deadline=None)
def test_any_layer_names_come_back(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    names = [name for name in names if name != "relu" and name.strip() == name and name.isprintable()]
    folder = tmp_path_factory.mktemp("names")
    _, parameters = read_model(write_model(folder, small_net(*names), small_parameters(*names)))
    assert [(name, tensors["weight"][0, 0]) for name, tensors in parameters.items()] == [
        (name, i) for i, name in enumerate(names)
    ]


def test_files_that_the_netfile_names_are_not_overwritten(tmp_path: Path) -> None:
    write_parameters(tmp_path / "mean.msg", {"mean": np.ones((1, 2, 2), np.float32)})
    net = small_net("Mean", inputs=[InputBlock(mean_file="mean.msg")])
    write_model(tmp_path, net, small_parameters("Mean"))
    assert files_in(tmp_path) == {"mean.msg", "Mean-2.msg", "net.netfile"}
    assert open_parameters(tmp_path / "mean.msg").tensors[0].name == "mean"


def test_layers_that_share_their_tensors_share_a_file(tmp_path: Path) -> None:
    shared = small_parameters("left")["left"]
    path = write_model(tmp_path, small_net("left", "right"), {"left": shared, "right": shared})
    assert files_in(tmp_path) == {"net.netfile", "left.msg"}
    _, parameters = read_model(path)
    assert parameters["left"]["weight"] is parameters["right"]["weight"]


def test_a_layer_without_tensors_gets_no_file(tmp_path: Path) -> None:
    path = write_model(tmp_path, small_net("fc1"), {**small_parameters("fc1"), "relu": {}})
    assert files_in(tmp_path) == {"net.netfile", "fc1.msg"}
    assert list(read_model(path)[1]) == ["fc1"]


@pytest.mark.parametrize(("stated", "written"), [("/sdcard/Data/", None), ("params", None), ("./", "./"), (None, None)])
def test_the_root_is_the_folder_itself(tmp_path: Path, stated: str | None, written: str | None) -> None:
    path = write_model(tmp_path, small_net("fc1", root_directory=stated), small_parameters("fc1"))
    assert read_netfile(path).root_directory == written
    assert list(read_model(path)[1]) == ["fc1"]


# Refusals: nothing is written, and what was there stays.


@pytest.mark.parametrize(
    ("net", "parameters", "message"),
    [
        (
            small_net("fc1"),
            small_parameters("fc2"),
            "parameters for 'fc2', but the NetFile has no such layer; it has 'fc1', 'relu'",
        ),
        (
            small_net("fc1"),
            {"fc1": {"w": np.zeros(1, bool)}},
            "layer 'fc1': tensor 'w': dtype bool",
        ),
        (small_net("fc1"), {"fc1": {"w": [1.0]}}, "'w' is a list"),
        (
            NetFile(layers=[layer("ReLU", "r", parameters_file="r.msg")]),
            {},
            "'r' should have a parameters_file, but no",
        ),
    ],
)
def test_what_cannot_be_written_is_refused(tmp_path: Path, net: NetFile, parameters: Any, message: str) -> None:
    with pytest.raises(ParameterFileError, match=message) as caught:
        write_model(tmp_path / "model", net, parameters)
    assert ".writing-" not in str(caught.value)
    assert not [name for name in files_in(tmp_path) if name != "model"]


def test_layers_of_one_name_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(NetFileError, match="fc1"):
        write_model(tmp_path / "model", small_net("fc1", "fc1"), small_parameters("fc1"))
    assert files_in(tmp_path) == set()


@pytest.mark.parametrize("layout", ["cnnrt", "cnndroid"])
def test_a_failure_at_the_last_layer_leaves_the_old_model(tmp_path: Path, layout: Layout) -> None:
    path = write_model(tmp_path, small_net("fc1", "fc2"), small_parameters("fc1", "fc2"))
    before = {name: (tmp_path / name).read_bytes() for name in files_in(tmp_path)}
    broken = small_parameters("fc1", "fc2")
    broken["fc1"]["weight"] = np.full((2, 3), 99, np.float32)
    broken["fc2"]["bias"] = np.zeros(2, complex)
    with pytest.raises(ParameterFileError, match="layer 'fc2'"):
        write_model(tmp_path, small_net("fc1", "fc2"), broken, layout=layout)
    assert {name: (tmp_path / name).read_bytes() for name in files_in(tmp_path)} == before
    assert read_model(path)[1]["fc1"]["weight"][0, 0] == 0


def test_a_full_disk_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(*_: object) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(ParameterFileError, match=r"layer 'fc1': .*fc1\.msg: cannot be written: No space"):
        write_model(tmp_path, small_net("fc1"), small_parameters("fc1"))
    assert files_in(tmp_path) == set()


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("../secret.msg", "leads upwards"),
        ("/etc/passwd", "is absolute"),
        ("missing.msg", "no file 'missing.msg'"),
        ("net.netfile", "expected a list of numbers"),
    ],
)
def test_a_bad_parameter_file_is_named_with_its_layer(tmp_path: Path, file: str, message: str) -> None:
    folder = tmp_path / "model"
    path = write_model(folder, small_net("fc1"), small_parameters("fc1"))
    write_parameters(tmp_path / "secret.msg", {"weight": np.zeros(1)})
    path.write_text(path.read_text().replace("fc1.msg", file))
    with pytest.raises(ParameterFileError, match=f"layer 'fc1': .*{message}"):
        read_model(path)


def test_a_relative_root_is_relative_to_the_netfile_and_an_absolute_one_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "params").mkdir()
    write_parameters(tmp_path / "params" / "a.msg", {"weight": np.ones(3)})
    write_parameters(tmp_path / "a.msg", {"weight": np.zeros(3)})
    text = 'root_directory: "{}"\nlayer {{ type: "FullyConnected" name: "fc" parameters_file: "a.msg" }}\n'
    for root, value in [("params", 1), ("./params/", 1), ("/sdcard/params/", 0), (str(tmp_path / "params"), 0)]:
        (tmp_path / "net.netfile").write_text(text.format(root))
        assert read_model(tmp_path / "net.netfile")[1]["fc"]["weight"][0] == value
    (tmp_path / "net.netfile").write_text(text.format(".."))
    with pytest.raises(ParameterFileError, match="leads upwards"):
        read_model(tmp_path / "net.netfile")


def test_a_netfile_built_by_hand_keeps_what_it_states(tmp_path: Path) -> None:
    net = small_net("fc1", allocated_ram=50, execution_mode="parallel", auto_tuning=True)
    written = read_netfile(write_model(tmp_path, net, small_parameters("fc1")))
    expected = attrs.evolve(net, layers=(attrs.evolve(net.layers[0], parameters_file="fc1.msg"), net.layers[1]))
    assert written == expected
