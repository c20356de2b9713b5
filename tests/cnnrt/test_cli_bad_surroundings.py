"""Files that cannot be read, closed streams, interruptions at any time: one message, and the stated exit code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cli_suite.command import complaint
from cli_suite.small_model import SHAPE, write_small_model

pytestmark = pytest.mark.skipif(os.name == "nt", reason="streams, signals and permissions of Unix")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_small_model(tmp_path / "small")


@pytest.fixture
def items(tmp_path: Path) -> Path:
    np.save(tmp_path / "items.npy", np.zeros((2, *SHAPE), np.float32))
    return tmp_path / "items.npy"


@pytest.mark.parametrize("closed", ["2>&-", "2>/dev/full"])
@pytest.mark.parametrize(
    "arguments", ["run {model} {items}", "check {model}", "bench {model} --runs 1", "run absent x"]
)
def test_a_closed_or_full_stderr_changes_neither_answer_nor_code(
    model: Path, items: Path, closed: str, arguments: str
) -> None:
    command = f"{sys.executable} -m cnnrt {arguments.format(model=model, items=items)} {closed}"
    done = subprocess.run(["sh", "-c", command], stdout=subprocess.PIPE, text=True, timeout=60)
    assert (done.returncode, bool(done.stdout)) == ((1, False) if "absent" in arguments else (0, True))


@pytest.mark.parametrize("command", ["check {path}", "run {path} x.npy", "run {model} {path}", "convert {path} -o out"])
def test_a_file_that_may_not_be_read_is_the_files_fault_not_the_command_lines(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    path = tmp_path / "locked.npy"
    path.write_bytes(b"\x93NUMPY")
    opened: Any = Path.open

    def refuse(self: Path, *arguments: Any, **options: Any) -> object:
        if self == path:
            raise PermissionError(13, "Permission denied", str(self))
        return opened(self, *arguments, **options)

    monkeypatch.setattr(Path, "open", refuse)
    monkeypatch.setattr(os, "access", lambda file, mode: Path(file) != path)
    text = complaint(*command.format(path=path, model=model).split(), code=1)
    assert text.startswith(f"error: {path}: ")


def test_an_interruption_while_the_command_line_is_loaded_shows_no_traceback() -> None:
    code = (
        "import os, signal, sys, types\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "class Late(types.ModuleType):\n"
        "    def __getattr__(self, name): os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.modules['click'] = Late('click')\n"
        "from cnnrt.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (130, "\nerror: interrupted\n")


def test_an_interruption_ends_the_grading_of_a_plugin() -> None:
    code = (
        "import os, signal; from cnnrt.cli import main; import cnnrt.testing.grading as grading\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "grading._check = lambda item: os.kill(os.getpid(), signal.SIGINT)\n"
        "main()"
    )
    command = [sys.executable, "-c", code, "plugins", "verify", "ReLU", "--kind", "layer"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 130, signal.strsignal(-done.returncode) if done.returncode < 0 else done.stderr
    assert "Traceback" not in done.stderr
    assert "error: interrupted" in done.stderr


@pytest.mark.parametrize(
    "options",
    [
        "bench {model} --seconds nan",
        "tune {model} --budget nan",
        "run {model} x.npy --ram nan",
        "run {model} x.npy --ram 0",
        "convert x -o y --scale nan",
        "convert x -o y --verify z --tolerance nan",
    ],
)
def test_an_option_that_wants_a_number_refuses_what_is_none(model: Path, options: str) -> None:
    assert "Invalid value for '--" in complaint(*options.format(model=model).split(), code=2)


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("empty.npy", b"", "the file is empty"),
        ("text.npy", b"hello, world", "it does not begin as a .npy file does"),
        ("cut.npy", None, "it is truncated: its array takes 512 bytes, and 412 are there"),
        ("text.npz", b"hello", "expected an archive of arrays, as numpy.savez writes it"),
    ],
)
def test_damaged_arrays_are_told_in_words(
    model: Path, items: Path, tmp_path: Path, name: str, content: bytes | None, why: str
) -> None:
    (tmp_path / name).write_bytes(items.read_bytes()[:-100] if content is None else content)
    text = complaint("run", model, tmp_path / name)
    assert text.startswith(f"error: {tmp_path / name}: ")
    assert why in text


def test_what_needs_no_conversion_and_folders_are_told_so(model: Path, tmp_path: Path) -> None:
    assert "is a NetFile, which needs no conversion: cnnrt show" in complaint("convert", model, "-o", tmp_path / "out")
    assert "is a folder; name the model's files in it\n" in complaint("convert", tmp_path, "-o", tmp_path / "out")
    (tmp_path / "saved_model.pb").write_bytes(b"")
    hint = f"such as {tmp_path / 'saved_model.pb'}\n"
    assert complaint("convert", tmp_path, "-o", tmp_path / "out").endswith(hint)


@pytest.mark.parametrize(("encoding", "told"), [("utf-16", "is UTF-16"), ("utf-32", "is UTF-32")])
def test_a_netfile_in_a_wide_encoding_is_told_which(model: Path, encoding: str, told: str) -> None:
    model.write_bytes(model.read_text().encode(encoding))
    assert f"{model}: {told}\n    expected UTF-8\n" in complaint("check", model)


def test_labels_that_are_no_text_are_told_so(model: Path, tmp_path: Path) -> None:
    (model.parent / "labels.txt").write_bytes(b"\x89PNG")
    stated = "netfile_version: 1\n"
    model.write_text("".join(line for line in model.read_text().splitlines(True) if not line.startswith("labels")))
    model.write_text(model.read_text().replace(stated, stated + 'labels: "labels.txt"\n'))
    assert "labels.txt: cannot be read as a file of labels: it is no text in UTF-8" in complaint("check", model)
