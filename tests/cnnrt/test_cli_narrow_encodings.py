"""What is shown where an output's encoding lacks characters: a C locale, a pipe, a code page of Windows."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cli_suite.small_model import write_small_model
from cnnrt.cli.narrow_encodings import writable


def written(encoding: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run `cnnrt` with streams of an encoding."""
    return subprocess.run(
        [sys.executable, "-m", "cnnrt", *map(str, arguments)],
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
        encoding=encoding,
        check=True,
        timeout=60,
    )


def test_ascii_shows_shapes_and_tables_that_are_aligned(tmp_path: Path) -> None:
    text = written("ascii", "show", write_small_model(tmp_path)).stdout
    assert "?" not in text
    lines = text.split("\nlayers\n")[1].splitlines()
    assert lines[0].split() == ["layer", "type", "output", "parameters", "FLOP"]
    assert set(lines[1]) == {"-"}
    assert lines[2].split()[:5] == ["conv", "+", "relu", "Convolution", "1x2x6x6"]
    assert lines[2].index("1x2x6x6") == lines[0].index("output")


def test_the_demos_digits_are_drawn_in_ascii() -> None:
    text = written("ascii", "demo", "--count", 2).stdout
    picture, _, rest = text.partition("\n0 100.0 %  ok")
    assert set(picture) == set(' \n#_"'), "an ellipse and a stroke, by half blocks' stand-ins"
    assert rest.splitlines()[0].lstrip().startswith("1 ")


@pytest.mark.parametrize(
    ("encoding", "shown"), [("utf-8", "1×3 ± µ ✓ ▀"), ("cp1252", '1×3 ± µ ok "'), ("ascii", '1x3 +- u ok "')]
)
def test_only_what_an_encoding_lacks_is_replaced(encoding: str, shown: str) -> None:
    assert writable("1×3 ± µ ✓ ▀", encoding) == shown


def test_letters_of_names_are_not_exchanged_for_others() -> None:
    assert writable("café", "ascii") == "caf?"
