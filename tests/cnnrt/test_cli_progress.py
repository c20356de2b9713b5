"""Progress is drawn on a terminal after a while, and nowhere else."""

from __future__ import annotations

import io
import sys
import time

import pytest

from cnnrt.cli import progress as module
from cnnrt.cli.progress import progress, progress_between


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Stand in for stderr. No fixture: pytest sets stderr anew after the fixtures ran."""
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    return stream


@pytest.mark.parametrize("show", [progress, progress_between])
def test_what_is_quick_shows_nothing(show, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = terminal(monkeypatch)
    with show("working", 2) as count_up:
        count_up(1)
    assert "working" not in screen.getvalue()


def test_what_takes_long_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = terminal(monkeypatch)
    monkeypatch.setattr(module, "PATIENCE", 0.0)
    with progress("working", 2) as count_up:
        count_up(1)
        until = time.perf_counter() + 10
        while "1/2" not in screen.getvalue() and time.perf_counter() < until:
            time.sleep(0.01)
    assert "working" in screen.getvalue()
    assert "1/2" in screen.getvalue()


def test_a_measurement_is_shown_only_between_its_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = terminal(monkeypatch)
    monkeypatch.setattr(module, "PATIENCE", 0.0)
    with progress_between("measuring", 2) as count_up:
        assert screen.getvalue() == ""
        count_up(1)
        shown = screen.getvalue()
        assert "1/2" in shown
        time.sleep(0.3)
        assert screen.getvalue() == shown, "no thread draws meanwhile"


def test_where_there_is_no_terminal_nothing_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(module, "PATIENCE", 0.0)
    with progress("working") as count_up:
        count_up(1)
    assert stream.getvalue() == ""
