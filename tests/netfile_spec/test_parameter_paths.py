"""A name in a model file reaches no file outside the model's folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from netfile_spec import ParameterFileError, resolve_inside


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A model's folder, with a secret beside it."""
    folder = tmp_path / "model"
    (folder / "sub").mkdir(parents=True)
    for file in ("conv1.msg", "sub/conv2.msg", "two words, ü.msg", "..msg", "...msg"):
        (folder / file).write_bytes(b"x")
    (tmp_path / "secret.msg").write_bytes(b"x")
    (tmp_path / "model-secret.msg").write_bytes(b"x")
    return folder


@pytest.mark.parametrize(
    "name", ["conv1.msg", "./conv1.msg", "sub/conv2.msg", "sub//conv2.msg", "two words, ü.msg", "..msg", "...msg"]
)
def test_a_file_inside_is_found(root: Path, name: str) -> None:
    found = resolve_inside(root, name)
    assert found.read_bytes() == b"x"
    assert found.is_relative_to(root.resolve())


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "is empty"),
        ("/etc/passwd", "is absolute"),
        ("//server/share", "is absolute"),
        ("../secret.msg", "leads upwards"),
        ("sub/../../secret.msg", "leads upwards"),
        ("sub/../conv1.msg", "leads upwards"),
        ("..", "leads upwards"),
        ("..\\secret.msg", "holds a backslash"),
        ("\\\\server\\share", "holds a backslash"),
        ("sub\\conv2.msg", "holds a backslash"),
        ("C:secret.msg", "names a drive"),
        ("c:/secret.msg", "names a drive"),
        ("conv1.msg\0.png", "holds a NUL"),
        ("conv3.msg", "no file 'conv3.msg' in this folder"),
        ("conv1.msg/x", "cannot be reached|no file"),
        ("x" * 5000, "cannot be reached"),
        ("half a pair \ud800", "cannot be reached"),
        ("sub", "is a folder"),
        (".", "is a folder"),
    ],
)
def test_anything_else_is_refused(root: Path, name: str, reason: str) -> None:
    with pytest.raises(ParameterFileError, match=reason):
        resolve_inside(root, name)


def link(place: Path, target: str) -> None:
    try:
        place.symlink_to(target)
    except OSError as error:
        pytest.skip(f"no symbolic links here: {error}")


def test_a_link_inside_is_followed(root: Path) -> None:
    link(root / "link.msg", "sub/conv2.msg")
    assert resolve_inside(root, "link.msg") == (root / "sub" / "conv2.msg").resolve()


@pytest.mark.parametrize("target", ["../secret.msg", "../model-secret.msg", "absolute"])
def test_a_link_that_leads_outside_is_refused(root: Path, target: str) -> None:
    link(root / "link.msg", str(root.parent / "secret.msg") if target == "absolute" else target)
    with pytest.raises(ParameterFileError, match="leads out of this folder"):
        resolve_inside(root, "link.msg")


def test_a_linked_folder_that_leads_outside_is_refused(root: Path) -> None:
    link(root / "up", "..")
    with pytest.raises(ParameterFileError, match="leads out of this folder"):
        resolve_inside(root, "up/secret.msg")


def test_links_in_a_circle_are_refused(root: Path) -> None:
    link(root / "a", "b")
    link(root / "b", "a")
    with pytest.raises(ParameterFileError, match="cannot be reached"):
        resolve_inside(root, "a")


def test_a_model_in_a_linked_folder_is_found(root: Path) -> None:
    link(root.parent / "alias", "model")
    assert resolve_inside(root.parent / "alias", "conv1.msg") == (root / "conv1.msg").resolve()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no FIFOs")
def test_a_fifo_is_refused_without_waiting(root: Path) -> None:
    os.mkfifo(root / "fifo")
    with pytest.raises(ParameterFileError, match="not a regular file"):
        resolve_inside(root, "fifo")
