"""The private folder for what can be made again."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from cnnrt import cache_folder as module
from cnnrt.cache_folder import cache_folder


@pytest.fixture(autouse=True)
def nothing_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_reported", set())


def test_it_is_made_private_where_the_variable_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CNNRT_CACHE", str(tmp_path / "mine"))
    folder = cache_folder("code")
    assert folder == tmp_path / "mine" / "code"
    assert folder.stat().st_mode & 0o077 == 0
    assert cache_folder("code") == folder


def test_it_lies_in_the_users_cache_folder_otherwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CNNRT_CACHE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = cache_folder("tuning")
    assert folder is not None
    assert folder.parent.name == "cnnrt"
    assert tmp_path in folder.parents


def test_an_empty_variable_turns_it_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CNNRT_CACHE", "")
    assert cache_folder("code") is None


def test_a_folder_that_others_may_write_to_is_not_used_and_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("CNNRT_CACHE", str(tmp_path))
    (tmp_path / "code").mkdir()
    (tmp_path / "code").chmod(0o777)
    with caplog.at_level(logging.WARNING, "cnnrt.cache"):
        assert cache_folder("code") is None
        assert cache_folder("code") is None
    assert len(caplog.records) == 1
    assert "others may write to it" in caplog.text


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="no owners of files on this system")
def test_a_folder_of_another_user_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CNNRT_CACHE", str(tmp_path))
    (tmp_path / "code").mkdir()
    monkeypatch.setattr(os, "getuid", lambda: tmp_path.stat().st_uid + 1)
    assert cache_folder("code") is None


def test_a_place_where_nothing_can_be_made_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("CNNRT_CACHE", str(tmp_path / "file"))
    assert cache_folder("code") is None
