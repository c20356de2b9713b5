"""What the writer wrote reads back to the same model; what could not be read back is not written."""

import math
import os

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netfile_spec import InputBlock, LayerBlock, NetFile, NetFileError, format_netfile, layer, parse_netfile
from netfile_spec import read_netfile as read
from netfile_spec import write_netfile as write
from netfile_spec.language import FILE_KEYS, INPUT_KEYS, LAYER_KEYS

# Everything but lone surrogates, which no UTF-8 holds.
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
ANY_NAME = ANY_TEXT.filter(bool)
# Without netfile_version there are no escapes for control characters.
PLAIN_NAME = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
INTEGER = st.integers(-(2**63), 2**63 - 1)
DIMENSION = st.integers(1, 2**31 - 1)
KEY = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True).filter(lambda key: key not in LAYER_KEYS)


def optional(strategy):
    return st.none() | strategy


def layers(name):
    value = st.booleans() | INTEGER | FINITE | (name | st.just(""))
    block = st.builds(
        LayerBlock,
        type=name,
        name=name,
        bottoms=optional(st.lists(name, min_size=1, max_size=3)),
        tops=optional(st.lists(name, min_size=1, max_size=3)),
        parameters_file=optional(name),
        keys=st.dictionaries(KEY, value | st.lists(value, max_size=4), max_size=4),
    )
    return st.lists(block, max_size=4, unique_by=lambda found: found.name)


def inputs(name):
    def block(name, shape, mean, scale, size):
        return InputBlock(name, shape, mean=mean, scale=scale, size=size)

    made = st.builds(
        block,
        name,
        optional(st.lists(DIMENSION, min_size=1, max_size=8).filter(lambda shape: len(shape) != 3)),
        st.lists(FINITE, max_size=4),
        optional(FINITE.filter(bool)),
        optional(st.tuples(DIMENSION, DIMENSION)),
    )
    return st.lists(made, max_size=3, unique_by=lambda found: found.name)


def netfiles(version, name):
    return st.builds(
        NetFile,
        layers=layers(name),
        inputs=inputs(name),
        root_directory=optional(name),
        allocated_ram=optional(st.floats(0, exclude_min=True, allow_infinity=False) | st.integers(1, 2**53)),
        execution_mode=optional(name),
        auto_tuning=optional(st.booleans()),
        weight_storage=optional(st.sampled_from(["float32", "float16"])),
        netfile_version=st.just(version),
        name=optional(name),
        labels=optional(name | st.lists(name, min_size=1, max_size=30)),
        requires=st.lists(name, max_size=3),
    )


def with_types(netfile):
    """Return the layers' values with their types, since 1 == 1.0 == True."""
    return [repr(block.keys) for block in netfile.layers]


@settings(deadline=None)  # a shared machine may pause at any time
@given(netfiles(1, ANY_NAME))
def test_whatever_version_1_can_say_is_read_back_equal(netfile):
    again = parse_netfile(format_netfile(netfile))
    assert again == netfile
    assert with_types(again) == with_types(netfile)


@settings(deadline=None)  # a shared machine may pause at any time
@given(netfiles(None, PLAIN_NAME))
def test_whatever_cnndroids_language_can_say_is_read_back_equal(netfile):
    again = parse_netfile(format_netfile(netfile))
    assert again == netfile
    assert with_types(again) == with_types(netfile)


@given(ANY_TEXT, st.sampled_from([None, 1]))
def test_any_text_is_written_so_that_it_is_read_or_refused(text, version):
    netfile = NetFile([layer("A", "x", bottom="y", key=text)], netfile_version=version)
    try:
        written = format_netfile(netfile)
    except NetFileError as error:
        refusal = str(error)
    else:
        assert parse_netfile(written) == netfile
        return
    assert version is None
    assert "netfile_version=1 can write it" in refusal


def test_a_netfile_is_written_as_a_person_would():
    netfile = NetFile(
        [layer("Convolution", "conv1", parameters_file="conv1.msg", pad=[1, 2], alpha=1e-5, bias=False)],
        [InputBlock(shape=(1, 28, 28), channel_order="gray", mean=33.5, scale=0.00390625)],
        netfile_version=1,
        allocated_ram=20.0,
        execution_mode="Parallel",
        auto_tuning=False,
        labels=["cat", 'the "dog"\n'],
    )
    assert (
        format_netfile(netfile)
        == r"""netfile_version: 1
allocated_ram: 20
execution_mode: "parallel"
auto_tuning: "off"
labels: ["cat", "the \"dog\"\n"]

input {
  name: "data"
  shape: [1, 28, 28]
  channel_order: "gray"
  mean: [33.5]
  scale: 0.00390625
}

layer {
  type: "Convolution"
  name: "conv1"
  parameters_file: "conv1.msg"
  pad: [1, 2]
  alpha: 1e-05
  bias: false
}
"""
    )


def test_long_lists_are_broken_into_lines():
    netfile = NetFile(labels=[f"label number {n}" for n in range(1000)])
    text = format_netfile(netfile)
    assert max(len(line) for line in text.split("\n")) <= 100
    assert parse_netfile(text).labels == netfile.labels


def test_every_key_of_the_language_can_be_written():
    netfile = NetFile(
        [LayerBlock("A", "n", "b", "t", "p")],
        [
            InputBlock("i", (3, 2, 2), "rgb", (1, 2, 3), None, 2.0, (4, 4)),
            InputBlock("j", mean_file="m", batch=3),
        ],
        "root", 1.5, "mode", True, 1, "name", "labels.txt", ["plugin"], weight_storage="float16",
    )  # fmt: skip
    text = format_netfile(netfile)
    for key in (*FILE_KEYS, *INPUT_KEYS, *LAYER_KEYS):
        assert f"{key}: " in text
    assert parse_netfile(text) == netfile


@pytest.mark.parametrize(
    ("netfile", "message"),
    [
        (NetFile([layer("A", "x"), layer("B", "x")]), '2 layers have the name "x"'),
        (NetFile([layer("A", "")]), "would not be read as it is"),
        (NetFile([layer("", "x")]), '"type" is empty'),
        (NetFile([layer("A", "x", key=math.nan)]), "would not be read as it is"),
        (NetFile([layer("A", "x", key=2**63)]), "out of range"),
        (NetFile([LayerBlock("A", "x", keys={"two words": 1})]), "two"),
        (NetFile([LayerBlock("A", "x", keys={"top": "y"})]), "would not be read as it is"),
        (NetFile([layer("A", "x", bottom=[])]), '"bottom" is an empty list'),
        (NetFile(labels=[]), '"labels" is an empty list'),
        (NetFile(allocated_ram=-1), '"allocated_ram" is -1'),
        (NetFile(netfile_version=2), "netfile_version 2 is newer"),
        (NetFile(name="two\nlines"), "netfile_version=1 can write it"),
        (NetFile(name="\ud800", netfile_version=1), r"U\+D800"),
        (NetFile([], [InputBlock(shape=[0])]), '"shape" is no shape'),
    ],
)
def test_what_could_not_be_read_back_is_refused(netfile, message):
    with pytest.raises(NetFileError, match=message):
        format_netfile(netfile)


def test_values_of_other_libraries_become_plain_numbers():
    numpy = pytest.importorskip("numpy")
    block = layer("A", "x", stride=numpy.array([2, 2]), alpha=numpy.float32(0.5), on=numpy.bool_(True))
    assert repr(dict(block.keys)) == "{'stride': (2, 2), 'alpha': 0.5, 'on': True}"
    with pytest.raises(NetFileError, match="'weights' holds a dict"):
        layer("A", "x", weights={})


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "net.netfile"
    netfile = NetFile([layer("ReLU", "größe")], netfile_version=1)
    write(path, netfile)
    assert read(path) == netfile
    assert b"\r" not in path.read_bytes()

    with pytest.raises(NetFileError):
        write(path, attrs.evolve(netfile, allocated_ram=-1))

    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(NetFileError, match=r"net\.netfile: cannot be written: .*No space left"):
        write(path, NetFile())
    monkeypatch.undo()
    assert read(path) == netfile
    assert [entry.name for entry in tmp_path.iterdir()] == ["net.netfile"]


def test_a_folder_that_is_not_there_is_a_netfile_error(tmp_path):
    with pytest.raises(NetFileError, match="cannot be written"):
        write(tmp_path / "absent" / "net.netfile", NetFile())
