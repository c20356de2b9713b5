"""Where parameter files are looked for, and where never without the user's word."""

from __future__ import annotations

import types
from pathlib import Path

import numpy as np
import pytest

from cnnrt import CnnrtError, Net
from cnnrt.errors import NetFileError, RootDirectoryWarning
from cnnrt.root_directory import root_directory
from core_suite.small_networks import filters, images, write_text
from netfile_spec import NetFile

WEIGHTS = filters(0, 2, 3, 1, 1)
TEXT = 'layer { type: "Convolution" name: "c" parameters_file: "w.msg" }'


def net_at(folder: Path, root: str | None, weights_in: Path, **options: object) -> Net:
    """Write a NetFile into `folder`, its weights into `weights_in`, and return the Net."""
    write_text(weights_in, "", w=WEIGHTS)
    header = "" if root is None else f'root_directory: "{root}"\n'
    return Net(write_text(folder, header + TEXT), **options)  # type: ignore[arg-type]


def test_without_a_root_the_netfiles_own_folder_is_used(tmp_path: Path) -> None:
    assert net_at(tmp_path, None, tmp_path).compute(images(3, 2, 2)).shape == (2, 2, 2)


@pytest.mark.parametrize("root", ["weights", "weights/", "./weights", "weights/../weights", "."])
def test_a_relative_root_is_relative_to_the_netfile(tmp_path: Path, root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # and not to the working folder
    model = tmp_path / "model"
    net = net_at(model, root, model if root == "." else model / "weights")
    assert net.compute(images(3, 2, 2)).shape == (2, 2, 2)


@pytest.mark.parametrize("root", ["/sdcard/Data_LeNet/", "gone", "x" * 5000])
def test_a_root_that_does_not_exist_gives_way_to_the_netfiles_folder_with_a_warning(tmp_path: Path, root: str) -> None:
    with pytest.warns(RootDirectoryWarning, match="does not exist here; the NetFile's own folder") as caught:
        net = net_at(tmp_path, root, tmp_path)
    assert len(caught) == 1
    assert net.compute(images(3, 2, 2)).shape == (2, 2, 2)


@pytest.mark.parametrize("relative", [True, False])
def test_a_root_that_exists_elsewhere_needs_the_users_word(tmp_path: Path, relative: bool) -> None:
    elsewhere = tmp_path / "elsewhere"
    root = "../elsewhere" if relative else str(elsewhere)
    with pytest.raises(NetFileError) as caught:
        net_at(tmp_path / "model", root, elsewhere)
    text = str(caught.value)
    assert f"{tmp_path / 'model' / 'net.netfile'}:1:17: root_directory {root!r} lies outside" in text
    assert f"--root {root}" in text
    net = Net(tmp_path / "model" / "net.netfile", root_directory=elsewhere)
    assert net.compute(images(3, 2, 2)).shape == (2, 2, 2)


def test_a_link_that_leads_outside_needs_the_users_word_too(tmp_path: Path) -> None:
    elsewhere, model = tmp_path / "elsewhere", tmp_path / "model"
    elsewhere.mkdir()
    model.mkdir()
    (model / "link").symlink_to(elsewhere, target_is_directory=True)
    with pytest.raises(NetFileError, match="lies outside"):
        net_at(model, "link", elsewhere)


@pytest.mark.parametrize("root", ["//server/share", "/\\server/share", "//?/UNC/server/share"])
def test_windows_contacts_no_other_machine(tmp_path: Path, root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cnnrt.root_directory.os", types.SimpleNamespace(name="nt"))
    monkeypatch.setattr("cnnrt.root_directory._is_folder", lambda path: pytest.fail(f"looks at {path}"))
    netfile = NetFile(root_directory=root, file=str(tmp_path / "net.netfile"))
    with pytest.warns(RootDirectoryWarning):
        assert root_directory(netfile) == tmp_path


def test_the_users_word_replaces_what_the_netfile_states(tmp_path: Path) -> None:
    other = tmp_path / "other"
    net = net_at(tmp_path / "model", "/sdcard/Data/", other, root_directory=str(other))
    assert net.root == other
    np.testing.assert_array_equal(net.compute(images(3, 2, 2)).shape, (2, 2, 2))


@pytest.mark.parametrize("given", ["nowhere", "net.netfile", "x" * 5000, "nul\0byte"])
def test_the_users_word_must_be_a_folder(tmp_path: Path, given: str) -> None:
    with pytest.raises(CnnrtError, match="is not a folder"):
        net_at(tmp_path, None, tmp_path, root_directory=str(tmp_path / given))


@pytest.mark.parametrize("file", ["../w.msg", "/etc/hostname", "sub/../../w.msg"])
def test_no_parameter_file_lies_outside_the_root(tmp_path: Path, file: str) -> None:
    write_text(tmp_path, "", w=WEIGHTS)
    path = write_text(tmp_path / "model", TEXT.replace("w.msg", file))
    with pytest.raises(NetFileError, match="expected a file inside this folder"):
        Net(path)
