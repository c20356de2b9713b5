"""The importer by cnnrt's conformance kit, and what is particular to the format: meanings, messages, hostile files."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from cnnrt_import_plaintext.conformance import PlaintextSuite
from cnnrt_import_plaintext.importer import LARGEST_TEXT, PlaintextImporter
from cnnrt_import_plaintext.lines import MOST_PROBLEMS

from cnnrt import Net, convert
from cnnrt.errors import ImportFailure
from cnnrt.testing.mutations import KINDS, mutations

HEAD = "plaintext-net 1\ninput 1 4 4\n"


class TestPlaintext(PlaintextSuite):
    """Recognises its own, leaves others alone, reads networks, survives damage."""


def written(folder: Path, text: str) -> Path:
    """Return a file in `folder` that holds `text`."""
    file = folder / "net.txt"
    file.write_text(text, encoding="utf-8")
    return file


def problems(folder: Path, text: str) -> str:
    """Return what the importer says is wrong with a text."""
    with pytest.raises(ImportFailure) as failure:
        PlaintextImporter().read([written(folder, text)])
    return str(failure.value)


def test_a_text_becomes_a_network_that_computes_what_it_says(tmp_path: Path) -> None:
    """By numbers in the text and by .npy files, in whatever type they are."""
    np.save(tmp_path / "fc.npy", np.eye(4, dtype=np.int8)[:2])
    text = HEAD + "conv c weight=1x1x1x1:2 bias=-1\nrelu r # a comment\nmaxpool p size=2\ndense fc weight=fc.npy\n"
    netfile = convert(written(tmp_path, text), tmp_path / "out").netfile
    x = np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4)
    with Net(netfile) as net:
        np.testing.assert_array_equal(net.compute(x), [[2 * 5 - 1, 2 * 7 - 1]])


def test_a_pooling_means_what_the_format_says_and_not_what_caffe_would(tmp_path: Path) -> None:
    """It moves by its own size, drops what does not fill a window, and leaves padding out of a mean."""
    model = PlaintextImporter().read([written(tmp_path, HEAD + "meanpool p size=3 pad=1\nmaxpool q size=2 stride=1\n")])
    first, second = model.netfile.layers
    assert first.keys == {
        "kernel_size": 3,
        "stride": 3,
        "pad": 1,
        "pool": "mean",
        "ceil_mode": False,
        "count_include_pad": False,
    }
    assert second.keys == {"kernel_size": 2, "stride": 1, "pool": "max", "ceil_mode": False}


def test_everything_that_is_wrong_is_said_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    """With line and column."""
    said = problems(
        tmp_path,
        "plaintext-net 1\n"
        "input 1 x 4\n"
        "conv c weight=2x2:1,2,3 bias=0.1,zero strid=1 pad=-1\n"
        "reul r\n"
        "maxpool c\n"
        "dense 9! weight=1\n",
    )
    places = [line.split(": ")[0].partition("net.txt:")[2] for line in said.splitlines() if "net.txt:" in line]
    assert places == ["2:1", "3:8", "3:25", "3:39", "3:47", "4:1", "5:1", "5:9", "6:7"]
    for text in (
        "3 numbers do not fill 2×2",
        "'zero' is not a number",
        "did you mean stride?",
        "at least 0",
        "did you mean relu?",
        "size is missing",
        "'c' is taken",
    ):
        assert text in said


def test_another_version_is_refused_without_judging_the_rest(tmp_path: Path) -> None:
    """Its lines may mean anything."""
    said = problems(tmp_path, "plaintext-net 2\nreul r\n")
    assert "expected plaintext-net 1" in said
    assert "reul" not in said


@pytest.mark.parametrize("text", ["", "plaintext-net 1\n", HEAD, "plaintext-net 1\nrelu r\n"])
def test_a_text_without_a_network_is_refused(tmp_path: Path, text: str) -> None:
    """An empty model would only fail later."""
    assert "net.txt" in problems(tmp_path, text)


def test_it_recognises_its_own_files_and_no_others(tmp_path: Path) -> None:
    """By the first word; a pipe is not even opened."""
    own = written(tmp_path, HEAD)
    other = tmp_path / "other.txt"
    other.write_bytes(b"plaintext-network")
    importer = PlaintextImporter()
    assert importer.recognises([own])
    assert not importer.recognises([own, own])
    for file in (other, tmp_path, tmp_path / "missing", tmp_path / "\0"):
        assert not importer.recognises([file])
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        assert not importer.recognises([tmp_path / "pipe"])
        with pytest.raises(ImportFailure, match="not a regular file"):
            importer.read([tmp_path / "pipe"])


@pytest.mark.parametrize("name", ["../w.npy", "/etc/w.npy", "link.npy", "missing.npy", "folder.npy"])
def test_weights_come_from_the_folder_of_the_text_only(tmp_path: Path, name: str) -> None:
    """A name that leads out of it, or to no regular file, is a problem of its line."""
    folder = tmp_path / "model"
    (folder / "folder.npy").mkdir(parents=True)
    np.save(tmp_path / "w.npy", np.zeros((1, 16)))
    (folder / "link.npy").symlink_to(tmp_path / "w.npy")
    assert "net.txt:3:10: weight: " in problems(folder, HEAD + f"dense fc weight={name}\n")


def npy(shape: str, descr: str = "'<f4'", data: bytes = b"") -> bytes:
    """Return an .npy file with this header, whatever its data."""
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + data


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x93NUMPY\x09\x00",
        npy("(1099511627776,)"),
        npy("(2, 2)", data=bytes(12)),
        npy("(-1, -4)", data=bytes(16)),
        npy("(4,)", "'|O'", bytes(32)),
        npy("(1,)", "[('a', '<f4')]", bytes(4)),
        npy("(1L,)", data=bytes(4)),
        npy("(" * 2000, data=bytes(4)),
        npy("(1,)", data=b"\x00\x00\xc0\x7f"),
    ],
    ids=["empty", "version", "huge", "short", "negative", "pickle", "record", "python 2", "nested", "nan"],
)
def test_a_damaged_array_is_a_problem_and_costs_no_memory(tmp_path: Path, content: bytes) -> None:
    """Sizes are compared with the file before anything is allocated; nothing is unpickled."""
    (tmp_path / "w.npy").write_bytes(content)
    assert "weight: " in problems(tmp_path, HEAD + "dense fc weight=w.npy\n")


@pytest.mark.parametrize("damage", list(KINDS))
def test_a_damaged_array_is_read_or_is_a_problem(tmp_path: Path, damage: str) -> None:
    """The kit damages the texts; the arrays beside them are ours to damage."""
    file = written(tmp_path, HEAD + "dense fc weight=w.npy\n")
    np.save(tmp_path / "w.npy", np.ones((2, 16), np.float32))
    content = (tmp_path / "w.npy").read_bytes()
    for damaged in mutations(content, damage, 60):
        (tmp_path / "w.npy").write_bytes(damaged)
        try:
            weight = PlaintextImporter().read([file]).parameters["fc"]["weight"]
        except ImportFailure:
            continue
        assert weight.nbytes <= 4 * len(damaged)
        assert np.isfinite(weight).all()


def test_a_large_file_that_takes_no_space_is_not_read(tmp_path: Path) -> None:
    """2 GiB of holes, as its header says."""
    with (tmp_path / "w.npy").open("wb") as stream:
        stream.write(npy("(1, 536870912)"))
        stream.truncate(len(npy("(1, 536870912)")) + 4 * 536870912)
    assert "are too many" in problems(tmp_path, HEAD + "dense fc weight=w.npy\n")


def test_a_file_that_is_long_or_no_text_is_refused(tmp_path: Path) -> None:
    """Before its lines are looked at."""
    assert "too long" in problems(tmp_path, HEAD + "#" * LARGEST_TEXT)
    file = tmp_path / "net.txt"
    file.write_bytes(HEAD.encode() + b"\xff")
    with pytest.raises(ImportFailure, match="not UTF-8"):
        PlaintextImporter().read([file])


@pytest.mark.parametrize("line", ["reul r\n", "relu r " + "x " * 1000 + "\n"])
def test_problems_are_listed_up_to_what_anybody_reads(tmp_path: Path, line: str) -> None:
    """Many lines or many words: the list ends, and says so."""
    said = problems(tmp_path, HEAD + line * 500)
    assert f"only the first {MOST_PROBLEMS} problems are listed" in said
    assert said.count("net.txt:") == MOST_PROBLEMS + 1
