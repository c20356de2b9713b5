"""`llvm`: LLVM's types and llvmlite's `ir`, imported at the first use.

Kernels that were compiled earlier run without llvmlite, so nothing that describes a kernel may import it.
"""

from __future__ import annotations

import importlib
from typing import Any


class _Deferred:
    """Stands for the names of `llvm_types`."""

    def __getattr__(self, name: str) -> Any:
        found = getattr(importlib.import_module("cnnrt_backend_threaded.llvm_types"), name)
        setattr(self, name, found)
        return found


llvm: Any = _Deferred()
