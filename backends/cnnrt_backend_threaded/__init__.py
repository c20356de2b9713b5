"""The threaded backend: machine code made by LLVM for the processor at hand, run on all cores.

Its kernels write code for one call of one layer, for the shapes and the vector registers that are there; a segment
runs from its first to its last step without returning to Python.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from cnnrt.hookspecs import hookimpl

if TYPE_CHECKING:
    from cnnrt.backend import Backend, Kernel

plugin_api = 1
kernels_for = ("threaded",)


@hookimpl
def cnnrt_backends() -> list[Backend]:
    """Return the backend."""
    from cnnrt_backend_threaded.backend import ThreadedBackend

    return [ThreadedBackend()]


@hookimpl
def cnnrt_kernels() -> list[Kernel]:
    """Return its kernels; none where llvmlite is missing, which the backend's device says."""
    if find_spec("llvmlite") is None:
        return []
    from cnnrt_backend_threaded.kernels import threaded_kernels

    return threaded_kernels()
