"""The list of this backend's kernels."""

from __future__ import annotations

from cnnrt.backend import Kernel
from cnnrt_backend_opencl.elementwise import ELEMENTWISE
from cnnrt_backend_opencl.pooling import WindowPooling
from cnnrt_backend_opencl.reorder import Transpose


def opencl_kernels() -> list[Kernel]:
    """Return one instance of each kernel; they keep no state."""
    kernels: tuple[type[Kernel], ...] = (
        *ELEMENTWISE,
        WindowPooling,
        Transpose,
    )
    return [kernel() for kernel in kernels]
