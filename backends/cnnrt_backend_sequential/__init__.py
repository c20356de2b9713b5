"""The sequential backend: every layer on one thread of the processor, in NumPy and its BLAS.

It is the fair single-thread baseline, the definition of the work that other backends do, and what runs
where nothing else can.
"""

from __future__ import annotations

from cnnrt.backend import Backend, Kernel
from cnnrt.hookspecs import hookimpl

plugin_api = 1


@hookimpl
def cnnrt_backends() -> list[Backend]:
    """Return the backend."""
    from cnnrt_backend_sequential.backend import SequentialBackend

    return [SequentialBackend()]


@hookimpl
def cnnrt_kernels() -> list[Kernel]:
    """Return its kernels."""
    from cnnrt_backend_sequential.kernels import sequential_kernels

    return sequential_kernels()
