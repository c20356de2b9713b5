"""Names of classes, from the NetFile or from a file that lies in the model's folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cnnrt.errors import InputError, ParameterFileError
from cnnrt.labels import LARGEST_FILE, read_label_file, read_labels
from netfile_spec import NetFile


def test_each_line_is_a_label_and_blank_ones_count_except_at_the_end(tmp_path: Path) -> None:
    (tmp_path / "l.txt").write_bytes(b"\xef\xbb\xbfcat \r\n\r\n K\xc3\xa4tzchen\n\n\n")
    assert read_label_file(tmp_path / "l.txt") == ("cat", "", "Kätzchen")


def test_labels_of_the_netfile_itself_need_no_file(tmp_path: Path) -> None:
    assert read_labels(NetFile(), tmp_path) is None
    assert read_labels(NetFile(labels=("a", "b")), tmp_path) == ("a", "b")


@pytest.mark.parametrize("name", ["../l.txt", "/etc/passwd", "gone.txt", "link.txt"])
def test_a_file_that_the_netfile_names_lies_inside_the_root(tmp_path: Path, name: str) -> None:
    root = tmp_path / "model"
    root.mkdir()
    (tmp_path / "l.txt").write_text("a\n")
    (root / "link.txt").symlink_to("../l.txt")
    with pytest.raises(ParameterFileError):
        read_labels(NetFile(labels=name), root)


def test_a_file_is_limited_in_size_however_large_it_says_it_is(tmp_path: Path) -> None:
    (tmp_path / "l.txt").write_bytes(b"a\n" * (LARGEST_FILE // 2))
    assert len(read_label_file(tmp_path / "l.txt")) == LARGEST_FILE // 2
    (tmp_path / "l.txt").write_bytes(b"a\n" * (LARGEST_FILE // 2) + b"a")
    with pytest.raises(InputError, match="at most 4 MiB"):
        read_label_file(tmp_path / "l.txt")


def test_what_is_no_text_file_is_an_error(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(InputError, match="is not a regular file"):
            read_label_file(path)
    (tmp_path / "l.txt").write_bytes("ä".encode("latin-1"))
    for path in (tmp_path / "l.txt", tmp_path / "gone.txt", Path("nul\0inside")):
        with pytest.raises(InputError, match="cannot be read as a file of labels"):
            read_label_file(path)
