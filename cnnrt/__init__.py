"""Trained convolutional networks, from any framework and of any age, run well on whatever hardware is at hand.

    from cnnrt import Net
    with Net("lenet/net.netfile") as net:
        probabilities = net.compute(images)        # (N, C, H, W) or (C, H, W), float32
        print(net.plan)                            # what ran where, and why

Everything is imported on first use, so that `import cnnrt` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cnnrt.conversion import convert
    from cnnrt.errors import CnnrtError, CnnrtWarning
    from cnnrt.hookspecs import hookimpl
    from cnnrt.net import Net
    from cnnrt.torch_modules import from_torch

__version__ = "0.1.0"
__all__ = ["CnnrtError", "CnnrtWarning", "Net", "__version__", "convert", "from_torch", "hookimpl"]

_HOMES = {
    "CnnrtError": "cnnrt.errors",
    "CnnrtWarning": "cnnrt.errors",
    "Net": "cnnrt.net",
    "convert": "cnnrt.conversion",
    "from_torch": "cnnrt.torch_modules",
    "hookimpl": "cnnrt.hookspecs",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'cnnrt' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
