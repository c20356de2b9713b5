"""What all commands share: help, exit codes, errors, warnings, pipes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli_suite.command import answer, complaint, run_cnnrt
from cli_suite.small_model import write_small_model
from cnnrt import __version__
from cnnrt.cli.commands import cnnrt
from cnnrt.errors import CnnrtError

COMMANDS = ["convert", "check", "show", "run", "bench", "devices", "plugins", "demo"]


def python_m_cnnrt(*arguments: str, code: str = "", **kwargs: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *(("-c", code) if code else ("-m", "cnnrt")), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, **kwargs)  # type: ignore[call-overload]  # kwargs are cwd and env


def test_help_lists_all_commands() -> None:
    text = answer("--help")
    for name in COMMANDS:
        assert f"\n  {name} " in text
    assert answer() == text, "without a command, the help is shown"
    assert answer("tuning") == answer("tuning", "--help")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str) -> None:
    text = answer(name, "--help")
    assert f"\n  cnnrt {name}" in text.partition("Examples:")[2]
    assert "\n  130  interrupted" in text.partition("Exit codes:")[2]


def test_version() -> None:
    assert answer("--version") == f"cnnrt {__version__}\n"


def test_an_unknown_command_names_the_nearest() -> None:
    assert (
        complaint("benhc", code=2) == "error: there is no command 'benhc'; did you mean 'bench'?\ntry: cnnrt --help\n"
    )


def test_a_wrong_option_is_a_usage_error() -> None:
    text = complaint("show", "--colour", code=2)
    assert text.startswith("error: ")
    assert text.endswith("try: cnnrt show --help\n")


def test_a_users_error_is_one_message_without_traceback(tmp_path: Path) -> None:
    assert (
        complaint("show", tmp_path / "absent.netfile")
        == f"error: {tmp_path / 'absent.netfile'}: there is no such file\n"
    )


@pytest.mark.parametrize("place", ["before", "after"])
def test_debug_shows_the_traceback(tmp_path: Path, place: str) -> None:
    arguments = ["show", str(tmp_path / "absent.netfile")]
    arguments = ["--debug", *arguments] if place == "before" else [*arguments, "--debug"]
    result = CliRunner().invoke(cnnrt, arguments)
    assert isinstance(result.exception, CnnrtError), "it is let through, so that Python shows where it was raised"


def test_interruption_exits_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("cnnrt.hardware.detect_hardware", interrupt)
    assert "error: interrupted" in complaint("devices", code=130)


def test_a_full_disk_is_an_error_not_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise OSError(28, "No space left on device", "/some/file")

    monkeypatch.setattr("cnnrt.hardware.detect_hardware", fail)
    assert complaint("devices") == "error: /some/file: No space left on device\n"


def test_an_error_of_the_machine_without_a_file_has_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("cnnrt.hardware.detect_hardware", fail)
    assert complaint("devices") == "error: No space left on device\n"


def test_faults_of_the_program_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise ZeroDivisionError("a fault")

    monkeypatch.setattr("cnnrt.hardware.detect_hardware", fail)
    with pytest.raises(ZeroDivisionError):
        run_cnnrt("devices")


def test_a_warning_is_told_once_on_stderr(tmp_path: Path) -> None:
    path = write_small_model(tmp_path)
    stated = "netfile_version: 1\n"
    path.write_text(path.read_text().replace(stated, stated + 'root_directory: "/sdcard/nowhere/"\n'))
    result = run_cnnrt("show", path)
    assert result.exit_code == 0
    assert result.stderr.count("warning: ") == 1
    assert "root_directory '/sdcard/nowhere/' does not exist here" in result.stderr


def test_control_characters_of_a_model_do_not_reach_the_terminal(tmp_path: Path) -> None:
    labels = tmp_path / "names.txt"
    labels.write_text("ant\x1b[2J\nbee\ncat\n")
    path = write_small_model(tmp_path, labels="names.txt")
    images = tmp_path / "x.npy"
    import numpy as np

    np.save(images, np.zeros((1, 1, 8, 8), np.float32))
    assert "\x1b" not in answer("run", path, images)


def test_python_m_cnnrt_is_the_same_command() -> None:
    done = python_m_cnnrt("--version")
    assert (done.returncode, done.stdout) == (0, f"cnnrt {__version__}\n")


def test_help_and_version_import_neither_numpy_nor_rich() -> None:
    code = (
        "import sys; from cnnrt.cli.commands import cnnrt\n"
        "try: cnnrt(['--help'])\n"
        "except SystemExit: print(sorted({'numpy', 'rich', 'cnnrt.net'} & set(sys.modules)))"
    )
    assert python_m_cnnrt(code=code).stdout.endswith("\n[]\n")


def test_errors_of_a_real_process(tmp_path: Path) -> None:
    done = python_m_cnnrt("run", "absent.netfile", "x.png", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: absent.netfile: there is no such file\n"


@pytest.mark.skipif(os.name == "nt", reason="Windows reports a closed pipe as another error")
@pytest.mark.parametrize("command", ["show", "plugins --json", "--help"])
def test_a_closed_pipe_is_silent(tmp_path: Path, command: str) -> None:
    arguments = [*command.split(), str(write_small_model(tmp_path))] if command == "show" else command.split()
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "cnnrt", *arguments], stdout=writer, stderr=subprocess.PIPE, text=True, timeout=60
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.skipif(os.name == "nt", reason="the shell's notation for closing a stream")
@pytest.mark.parametrize("closed", ["<&-", ">&-", "<&- >&-"])
def test_streams_may_be_closed_from_the_start(closed: str) -> None:
    done = subprocess.run(
        ["sh", "-c", f'"{sys.executable}" -m cnnrt plugins {closed}'], stderr=subprocess.PIPE, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_what_the_library_logs_is_told_as_a_warning(tmp_path: Path) -> None:
    no_folder = tmp_path / "file"
    no_folder.write_text("")
    done = python_m_cnnrt("tuning", "list", env={**os.environ, "CNNRT_CACHE": str(no_folder)})
    assert done.returncode == 0
    assert done.stderr.startswith(f"warning: nothing is remembered in {no_folder}: no folder can be made there (")
    assert done.stdout.startswith("nothing was measured yet: cnnrt tune NETFILE\n")


@pytest.mark.parametrize("command", ["show", "check"])
def test_a_model_of_another_framework_is_sent_to_convert(tmp_path: Path, command: str) -> None:
    model = tmp_path / "some model.onnx"
    model.write_bytes(b"\x08\x07\xff\xfe")
    text = complaint(command, model)
    assert "this is no NetFile, but a file that is converted into one (by the importer onnx)" in text
    assert f"cnnrt convert '{model}' -o DIR" in text
    assert "there is no such file" in complaint(command, tmp_path / "absent.onnx")


def test_a_prototxt_of_caffe_is_sent_to_convert_and_a_netfile_of_that_name_is_not(tmp_path: Path) -> None:
    net = tmp_path / "net.prototxt"
    net.write_text('layer { name: "data" type: "Input" input_param { shape: { dim: 1 } } }')
    assert "(by the importer caffe)" in complaint("show", net)
    net.write_text('layer { type: "Pooling" name: "p" kernelsize: 2 }')
    assert 'did you mean "kernel_size"?' in complaint("show", net)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for child processes")
def test_ctrl_c_ends_a_measurement(tmp_path: Path) -> None:
    path = write_small_model(tmp_path)
    code = (
        "import os, signal; from cnnrt.cli import main; import cnnrt.cli.measurement as m\n"
        # A shell's background jobs are started with the signal ignored, and so may be this suite.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "m._warm_up = lambda net, arrays: os.kill(os.getpid(), signal.SIGINT)\n"
        "main()"
    )
    done = python_m_cnnrt("bench", str(path), "--seconds", "30", code=code)
    assert done.returncode == 130, signal.strsignal(-done.returncode) if done.returncode < 0 else done.stderr
    assert "Traceback" not in done.stderr
