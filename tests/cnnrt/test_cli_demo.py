"""`cnnrt demo`: a trained network reads digits, and the pictures are what is in the files."""

from __future__ import annotations

import numpy as np
import pytest

from cli_suite.command import answer, json_answer
from cnnrt.cli.half_blocks import picture
from cnnrt.demo import demo_digits


def test_the_digits_are_of_every_kind() -> None:
    digits = demo_digits()
    assert [digit for digit, _ in digits[:10]] == list("0123456789")
    assert all(path.name.startswith(digit) for digit, path in digits)


def test_nearly_all_digits_are_read_right() -> None:
    found = json_answer("demo")
    assert len(found["digits"]) == len(demo_digits()) >= 30
    assert found["accuracy"] == pytest.approx(
        sum(d["answer"] == d["digit"] for d in found["digits"]) / len(found["digits"])
    )
    assert found["accuracy"] > 0.9


def test_the_receipt_is_shown() -> None:
    text = answer("demo", "--count", "3")
    assert "\nright       3 of 3\n" in text
    for heading in ("placement", "why", "memory"):
        assert f"\n{heading}" in text
    assert "\nconv1 " in text
    assert text.count("✓") == 3


def test_a_picture_of_two_rows_is_one_line() -> None:
    pixels = np.array([[0, 255, 0, 255], [0, 0, 255, 255]], np.uint8)
    (line,) = picture(pixels, grey=False)
    assert line.plain == " ▀▄█"


def test_shades_are_foreground_above_and_background_below() -> None:
    (line,) = picture(np.array([[255, 0], [0, 0]], np.uint8), grey=True)
    assert line.plain == "▀ "
    assert [str(span.style) for span in line.spans] == ["#ffffff on #000000", "on #000000"]


def test_an_odd_row_is_filled_up_with_black() -> None:
    lines = picture(np.full((3, 1), 255, np.uint8), grey=False)
    assert [line.plain for line in lines] == ["█", "▀"]


def test_colours_are_for_terminals_that_want_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    grey = "\x1b[38;2;"
    assert grey in answer("demo", "--count", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    assert grey not in answer("demo", "--count", "1")
