"""What code is made for: the processor's name, its features, and the size and number of its vector registers."""

from __future__ import annotations

import functools

import attrs

from cnnrt.hardware import detect_hardware


@attrs.frozen
class Target:
    """A processor as LLVM knows it.

    `vector_bits` and `registers` are those of the vector registers that code should use; `cpu` and `features` are
    LLVM's names.
    """

    triple: str
    cpu: str
    features: str
    vector_bits: int
    registers: int

    @property
    def lanes(self) -> int:
        """The float32 values of one vector."""
        return self.vector_bits // 32


@attrs.frozen
class Machine:
    """A target and the number of threads that can run on it at the same time."""

    target: Target
    cores: int


@functools.cache
def host_machine() -> Machine:
    """Return the machine that this process runs on, as far as affinity and quota allow its use."""
    return Machine(host_target(), detect_hardware().cores_usable)


@functools.cache
def host_target() -> Target:
    """Return the processor that this process runs on. Raises ImportError where llvmlite is not installed."""
    from llvmlite import binding

    found = binding.get_host_cpu_features()
    triple = binding.get_process_triple()
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
