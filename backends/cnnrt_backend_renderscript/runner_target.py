"""Processors that a runner can be built for, and by which compiler.

A runner is linked statically, so that it needs nothing of the system where it runs: by zig with musl, which it brings
for every target, or by clang with the target's glibc, where packages for cross compiling are installed.
"""

from __future__ import annotations

import functools
import platform
import subprocess
from pathlib import Path

import attrs

from cnnrt_backend_renderscript.compiler import NOT_FOUND, Compiler, find_clang, find_zig


@attrs.frozen
class Target:
    """A processor: clang's and zig's names for it, the arguments that choose it, and the package with its C library."""

    name: str
    clang: tuple[str, ...]
    zig: tuple[str, ...]
    package: str


AARCH64 = Target(
    "aarch64",
    ("--target=aarch64-linux-gnu",),
    ("-target", "aarch64-linux-musl"),
    "gcc-aarch64-linux-gnu libc6-dev-arm64-cross",
)
ARMV7 = Target(
    "armv7",
    ("--target=arm-linux-gnueabihf", "-mcpu=cortex-a7", "-mfpu=neon-vfpv4", "-mfloat-abi=hard"),
    ("-target", "arm-linux-musleabihf", "-mcpu=cortex_a7"),
    "gcc-arm-linux-gnueabihf libc6-dev-armhf-cross",
)
X86_64 = Target("x86_64", ("--target=x86_64-linux-gnu",), ("-target", "x86_64-linux-musl"), "libc6-dev")
NATIVE = Target("native", ("-march=native",), ("-mcpu=native",), "libc6-dev")

OF_ANDROID = {"arm64-v8a": AARCH64, "armeabi-v7a": ARMV7, "x86_64": X86_64}
"""By the names of Android's ABIs."""


@attrs.frozen
class Toolchain:
    """A compiler, and the arguments by which it builds static programs for a target."""

    compiler: Compiler
    arguments: tuple[str, ...]


def find_toolchain(target: Target, *, phone: bool = False) -> Toolchain | str:
    """Return what builds runners for a target, or why nothing does and what to install. Phones get musl if possible."""
    clang, zig = find_clang(), find_zig()
    with_clang = Toolchain(clang, target.clang) if clang and _has_library(clang, target) else None
    with_zig = Toolchain(zig, target.zig) if zig else None
    found = (with_zig or with_clang) if phone else (with_clang or with_zig)
    if found:
        return found
    if clang:
        return (
            f'clang has no C library for {target.name}: install {target.package}, or pip install "cnnrt[renderscript]"'
        )
    return NOT_FOUND


def _has_library(clang: Compiler, target: Target) -> bool:
    return platform.system() == "Linux" and _static_library(clang.command, target.clang)


@functools.cache
def _static_library(command: tuple[str, ...], arguments: tuple[str, ...]) -> bool:
    """Tell whether a compiler finds the static C library of a target: it prints a name without folder where not."""
    try:
        done = subprocess.run(
            [*command, *arguments, "-print-file-name=libc.a"], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return Path(done.stdout.strip()).is_absolute() and Path(done.stdout.strip()).exists()
