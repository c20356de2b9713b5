"""A parameter file appears whole or not at all, and what was there before stays until then."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest

from netfile_spec import Layout, ParameterFileError, read_parameters, write_parameters

OLD = {"weight": np.arange(3, dtype=np.float32)}
NEW = {"weight": np.zeros(200_000, np.float32), "bias": np.ones(4, np.float32)}


@pytest.fixture(params=["cnnrt", "cnndroid"])
def layout(request: pytest.FixtureRequest) -> Any:
    return request.param


def full_disk(*_: object) -> NoReturn:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_write_that_fails_leaves_everything_as_it_was(
    tmp_path: Path, layout: Layout, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "conv1.msg"
    write_parameters(file, OLD, layout=layout)
    before = file.read_bytes()
    with monkeypatch.context() as patch:
        if step == "fsync":
            patch.setattr(os, "fsync", full_disk)
        else:
            patch.setattr(Path, "replace", full_disk)
        with pytest.raises(ParameterFileError, match="cannot be written: No space left on device"):
            write_parameters(file, NEW, layout=layout)
    assert [entry.name for entry in tmp_path.iterdir()] == ["conv1.msg"]
    assert file.read_bytes() == before


def test_an_interruption_leaves_no_file(tmp_path: Path, layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: int) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_parameters(tmp_path / "conv1.msg", NEW, layout=layout)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="the limit on file sizes is POSIX's")
def test_a_disk_that_fills_up_half_way_leaves_no_file(tmp_path: Path, layout: Layout) -> None:
    script = f"""
import resource, numpy
from netfile_spec import ParameterFileError, write_parameters
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16))
try:
    write_parameters({str(tmp_path / "conv1.msg")!r}, {{"w": numpy.zeros(200_000)}}, layout={layout!r})
except ParameterFileError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "conv1.msg: cannot be written: File too large" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_replaced_as_a_whole(tmp_path: Path, layout: Layout) -> None:
    file = tmp_path / "conv1.msg"
    write_parameters(file, OLD, layout=layout)
    with file.open("rb") as reader:  # whoever reads the old file keeps it
        write_parameters(file, NEW, layout=layout)
        assert len(reader.read()) < 1000
    np.testing.assert_array_equal(next(iter(read_parameters(file).values())), NEW["weight"])
    assert [entry.name for entry in tmp_path.iterdir()] == ["conv1.msg"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no umask")
def test_a_file_is_as_readable_as_any_other(tmp_path: Path, layout: Layout) -> None:
    write_parameters(tmp_path / "conv1.msg", OLD, layout=layout)
    (tmp_path / "plain").touch()
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("conv1.msg", "plain")}
    assert len(modes) == 1


def test_a_missing_folder_is_named(tmp_path: Path, layout: Layout) -> None:
    with pytest.raises(ParameterFileError, match=r"missing.conv1\.msg: cannot be written: No such file"):
        write_parameters(tmp_path / "missing" / "conv1.msg", OLD, layout=layout)


def test_a_folder_in_its_place_is_left_alone(tmp_path: Path, layout: Layout) -> None:
    (tmp_path / "conv1.msg").mkdir()
    with pytest.raises(ParameterFileError, match="cannot be written"):
        write_parameters(tmp_path / "conv1.msg", OLD, layout=layout)
    assert [entry.name for entry in tmp_path.iterdir()] == ["conv1.msg"]
