"""Transports: how a runner gets to where it runs, and the command that then runs it.

Its standard input and output are the connection, so a transport is a way to copy a file and a command line: a process
here, a process in qemu's emulator of another processor, or a phone by adb.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import attrs

from cnnrt.errors import CnnrtError
from cnnrt_backend_renderscript.runner_build import RunnerProgram

PHONE_FOLDER = "/data/local/tmp"
"""Where adb may put programs, and the shell may run them."""
KEPT_DAYS = 30
ADB_SECONDS = 120


class Transport(Protocol):
    """A way to run a runner."""

    def placed(self, runner: RunnerProgram, device: str) -> contextlib.AbstractContextManager[Sequence[str]]:
        """Give the command that runs it; it has to be started inside the block. Raises CnnrtError."""


@attrs.frozen
class LocalTransport:
    """A process of this machine; `emulator`: the program that runs it there, such as qemu-aarch64."""

    emulator: str | None = None

    @contextlib.contextmanager
    def placed(self, runner: RunnerProgram, device: str) -> Iterator[Sequence[str]]:
        """Give the command; its file is gone after the block, which a process that runs does not mind."""
        try:
            with tempfile.TemporaryDirectory(prefix="cnnrt-") as folder:
                path = Path(folder) / "runner"
                path.write_bytes(runner.program)
                path.chmod(0o700)
                yield (self.emulator, str(path)) if self.emulator else (str(path),)
        except OSError as error:
            raise CnnrtError(
                f"{device}: the runner cannot be written or started: {error}; TMPDIR names another folder"
            ) from error


@attrs.frozen
class AdbTransport:
    """A phone, by its serial number. The runner stays there under the name of its build, so it is copied once."""

    adb: str
    serial: str

    @contextlib.contextmanager
    def placed(self, runner: RunnerProgram, device: str) -> Iterator[Sequence[str]]:
        """Copy the runner to the phone unless it is there, and give the command."""
        path = f"{PHONE_FOLDER}/cnnrt-runner-{runner.build[:32]}"
        if self._shell(f"stat -c %s {path} 2>/dev/null") != str(len(runner.program)):
            self._copy(runner, path, device)
        yield self.adb, "-s", self.serial, "shell", "-T", path

    def _copy(self, runner: RunnerProgram, path: str, device: str) -> None:
        """Write beside and rename, so that half a program never has the name of a whole one."""
        with tempfile.NamedTemporaryFile(prefix="cnnrt-") as file:
            file.write(runner.program)
            file.flush()
            done = run_adb(self.adb, "-s", self.serial, "push", file.name, f"{path}.part")
        if done.returncode:
            self._shell(f"rm -f {path}.part")
            raise CnnrtError(f"{device}: the runner ({len(runner.program) >> 10} KiB) cannot be copied: {_said(done)}")
        moved = run_adb(
            self.adb, "-s", self.serial, "shell", f"chmod 700 {path}.part && mv {path}.part {path} && echo moved"
        )
        if moved.stdout.strip() != "moved":
            raise CnnrtError(f"{device}: the runner cannot be made a program there: {_said(moved)}")
        self._shell(f"find {PHONE_FOLDER} -name 'cnnrt-runner-*' -mtime +{KEPT_DAYS} -delete")

    def _shell(self, command: str) -> str:
        return run_adb(self.adb, "-s", self.serial, "shell", command).stdout.strip()


def run_adb(adb: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run adb and return what it said; a program that hangs or cannot be started counts as one that failed."""
    command = [adb, *arguments]
    try:
        return subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=ADB_SECONDS, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(command, 1, "", str(error))


def find_adb() -> str | None:
    """Return the path of adb."""
    return shutil.which("adb")


def _said(done: subprocess.CompletedProcess[str]) -> str:
    lines = (done.stderr.strip() or done.stdout.strip() or f"exit status {done.returncode}").splitlines()
    return " | ".join(lines[-3:])
