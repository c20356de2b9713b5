"""The layer QuickGelu for cnnrt: what it is (`quick_gelu.py`) and how it runs fast (`sequential_kernel.py`).

cnnrt finds this module by the entry point `layer.quick-gelu` in pyproject.toml.
"""

from __future__ import annotations

from cnnrt import hookimpl
from cnnrt.backend import Kernel
from cnnrt.layer import Layer
from cnnrt_quick_gelu.quick_gelu import QuickGelu

__all__ = ["QuickGelu"]

plugin_api = 1


@hookimpl
def cnnrt_layers() -> list[type[Layer]]:
    """Return the layer; on a backend without a kernel for it, its reference runs."""
    return [QuickGelu]


@hookimpl
def cnnrt_kernels() -> list[Kernel]:
    """Return the kernel; where the backend that it is for is not installed, cnnrt ignores it."""
    from cnnrt_quick_gelu.sequential_kernel import QuickGeluChunks

    return [QuickGeluChunks()]
