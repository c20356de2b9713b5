"""The layer Swish for cnnrt: what it is (`swish.py`) and how it runs fast on one thread (`sequential_kernel.py`).

cnnrt finds this module by the entry point `layer.swish` in pyproject.toml.
"""

from __future__ import annotations

from cnnrt import hookimpl
from cnnrt.backend import Kernel
from cnnrt.layer import Layer
from cnnrt_swish.swish import Swish

__all__ = ["Swish"]

plugin_api = 1


@hookimpl
def cnnrt_layers() -> list[type[Layer]]:
    """Return the layer; on a backend without a kernel for it, its reference runs."""
    return [Swish]


@hookimpl
def cnnrt_kernels() -> list[Kernel]:
    """Return the kernel; where the backend that it is for is not installed, cnnrt ignores it."""
    from cnnrt_swish.sequential_kernel import SwishChunks

    return [SwishChunks()]
