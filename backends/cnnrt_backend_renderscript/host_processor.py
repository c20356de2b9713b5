"""The processor that this process runs on, found out once: dozens of files are read for it."""

from __future__ import annotations

import functools

from cnnrt.hardware import Hardware, detect_hardware


@functools.cache
def host_hardware() -> Hardware:
    """Return what this process runs on."""
    return detect_hardware()


def vector_bits() -> int:
    """Return the bits of this processor's vectors, as far as kernels are made for them."""
    found = host_hardware().vector_extensions
    if "AVX-512F" in found:
        return 512
    return 256 if {"AVX2", "FMA"} <= set(found) else 128
