"""The compiler: clang, clang-14 or the one in the ziglang wheel, whichever is found first, and how it is called.

gcc cannot be used: it lacks `ext_vector_type`. `CNNRT_CLANG` names another program.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import attrs

from cnnrt.errors import CnnrtError

VARIABLE = "CNNRT_CLANG"
PROGRAMS = ("clang", "clang-14")
SECONDS = 300
"""Until a compiler counts as stuck: zig builds its C library at first, which took 77 s for one target."""

BASE = ("-std=gnu11", "-O3", "-fno-builtin", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wno-unknown-pragmas",
        "-Wno-unused-function", "-Wno-ignored-attributes", "-Wno-unknown-attributes")  # fmt: skip
RELAXED = ("-fassociative-math", "-freciprocal-math", "-fno-signed-zeros", "-fno-trapping-math", "-fno-math-errno",
           "-ffp-contract=fast")  # fmt: skip
"""What `#pragma rs_fp_relaxed` allows. Not -ffast-math: linked with it, a library turns denormals to 0 in the whole
process, NumPy's included."""
PRECISE = ("-ffp-contract=off", "-fno-math-errno")


@attrs.frozen
class Compiler:
    """A program (with the arguments that come first), its version line, and whether it is zig's."""

    command: tuple[str, ...]
    version: str
    zig: bool = False

    def build(self, sources: Sequence[tuple[str, str | bytes]], arguments: Sequence[str], what: str) -> bytes:
        """Return the file that is compiled and linked from sources (file name, content) with further arguments.

        C files (`.c`) are compiled, object files (`.o`) linked; others are there to be included.

        Raises CnnrtError with the compiler's first complaints; `what` says what was to be built.
        """
        with tempfile.TemporaryDirectory(prefix="cnnrt-") as folder:
            files: list[str] = []
            for name, content in sources:
                (Path(folder) / name).write_bytes(content if isinstance(content, bytes) else content.encode())
                files += [name] if name.endswith((".c", ".o")) else []
            out = Path(folder) / "built"
            command = [*self.command, *arguments, *files, "-o", str(out), "-lm", "-pthread"]
            try:
                done = subprocess.run(
                    command, cwd=folder, capture_output=True, text=True, errors="replace", timeout=SECONDS, check=False
                )
            except (OSError, subprocess.TimeoutExpired) as error:
                raise CnnrtError(f"{what} cannot be compiled by {self.command[0]}: {error}") from error
            if done.returncode or not out.exists():
                said = "\n".join(done.stderr.strip().splitlines()[:8]) or f"exit status {done.returncode}"
                raise CnnrtError(f"{what} cannot be compiled by {self.version}:\n{said}")
            return out.read_bytes()


NOT_FOUND = 'no clang was found: install clang-14 or newer, or pip install "cnnrt[renderscript]", which brings one'


def find_compiler() -> Compiler | str:
    """Return the compiler, or why there is none and what to install."""
    found = find_clang()
    if found is None and (stated := os.environ.get(VARIABLE)):
        return f"{VARIABLE} names {stated!r}, which is no clang that runs here"
    return found or find_zig() or NOT_FOUND


def find_clang() -> Compiler | None:
    """Return clang, if there is one."""
    for program in _programs():
        found = shutil.which(program)
        if found and (version := _version((found,), _stamp(found))):
            return Compiler((found,), version)
    return None


def find_zig() -> Compiler | None:
    """Return the compiler of the ziglang wheel, if that is installed."""
    if find_spec("ziglang") is not None:
        command = (sys.executable, "-m", "ziglang", "cc")
        if version := _version(command, ""):
            return Compiler(command, f"zig cc, {version}", zig=True)
    return None


def _programs() -> Sequence[str]:
    stated = os.environ.get(VARIABLE)
    return (stated,) if stated else PROGRAMS


def _stamp(program: str) -> str:
    """Return what changes when a program is replaced."""
    found = Path(program).resolve().stat()
    return f"{found.st_size}-{found.st_mtime_ns}"


@functools.cache
def _version(command: tuple[str, ...], stamp: str) -> str:
    """Return the line in which a compiler states its version; empty where it does not run or is no clang."""
    try:
        done = subprocess.run([*command, "--version"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    line = done.stdout.partition("\n")[0].strip()
    return line if done.returncode == 0 and re.search(r"\bclang\b", done.stdout) else ""
