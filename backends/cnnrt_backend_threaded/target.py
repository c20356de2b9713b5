"""What code is made for: the processor's name, its features, and the size and number of its vector registers."""

from __future__ import annotations

import functools
from contextlib import suppress

import attrs

from cnnrt.cache_folder import cache_folder
from cnnrt.child_python import child_command, child_environment, children_possible
from cnnrt.hardware import detect_hardware
from cnnrt_backend_threaded.processor_target import Target
from cnnrt_backend_threaded.target_memory import remember_target, remembered_target

__all__ = ["Machine", "Target", "forced_target", "host_machine", "host_target", "neon_target"]


@attrs.frozen
class Machine:
    """A target, the threads that can run on it at the same time, and the bytes of a core's second cache."""

    target: Target
    cores: int
    second_cache: int = 2**20


@functools.cache
def host_machine() -> Machine:
    """Return the machine that this process runs on, with the cores that could be used when it was first asked for."""
    hardware = detect_hardware()
    second = [cache.bytes // cache.shared_by for cache in hardware.caches if cache.level == 2]
    # What a virtual machine says of its caches is not always true.
    usable = min(max(second[0], 2**18), 2**21) if second else 2**20
    return Machine(host_target(), hardware.cores_usable, usable)


@functools.cache
def host_target() -> Target:
    """Return the processor that this process runs on: as LLVM told earlier, else by asking it.

    Raises ImportError where llvmlite is not installed.
    """
    return remembered_target() or remember_target(_ask_child() or _ask_llvm())


def _ask_child() -> Target | None:
    """Return what LLVM tells another process, so that this one need not load it; None where that is not possible."""
    if not children_possible() or cache_folder("code") is None:  # asked at each start, a child would only take time
        return None
    import json
    import subprocess

    command = child_command("cnnrt_backend_threaded.target")
    with suppress(OSError, ValueError, TypeError):
        return Target(**json.loads(subprocess.run(command, env=child_environment(), capture_output=True).stdout))
    return None


def _ask_llvm() -> Target:
    from llvmlite import binding

    found = binding.get_host_cpu_features()
    triple = object_triple(binding.get_process_triple())
    name = binding.get_host_cpu_name()
    architecture = triple.partition("-")[0]
    # LLVM may prefer halves of AVX-512's registers on processors that once lowered their clock for whole ones.
    flags = ",".join((found.flatten(), "-prefer-256-bit")) if found.get("avx512f") else found.flatten()
    if architecture in ("x86_64", "amd64", "i686"):
        if found.get("avx512f") and found.get("avx512vl"):
            return Target(triple, name, flags, 512, 32)
        if found.get("avx2") and found.get("fma"):
            return Target(triple, name, flags, 256, 16)
        return Target(triple, name, flags, 128, 16 if architecture != "i686" else 8)
    return Target(triple, name, flags, 128, 32 if architecture in ("aarch64", "arm64") else 16)


def object_triple(triple: str) -> str:
    """Return a triple with the same calling convention, for which LLVM writes ELF object files."""
    return triple if "linux" in triple or triple.endswith("-elf") else f"{triple}-elf"


def forced_target(name: str) -> Target:
    """Return a lesser target of the same architecture: "avx2" or "sse", as tests and comparisons ask for.

    The instructions of a lesser x86-64 run on any later one.
    """
    triple = host_target().triple
    if name == "avx2":
        return Target(triple, "haswell", "", 256, 16)
    if name == "sse":
        return Target(triple, "x86-64", "", 128, 16)
    raise ValueError(f'expected "avx2" or "sse", got {name!r}')


def neon_target() -> Target:
    """Return any 64-bit Arm processor under Linux: code for it is compiled anywhere, and tested in an emulator."""
    return Target("aarch64-unknown-linux-gnu", "generic", "+neon", 128, 32)


if __name__ == "__main__":
    import json

    print(json.dumps(attrs.asdict(_ask_llvm())))
