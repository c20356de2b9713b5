"""Weights that are kept in half precision: their bytes, and the definition by which a source reads them.

Sources include `kernels/half_weights.clh`. vload_half is a part of OpenCL C whatever the device's own arithmetic is
(OpenCL C 1.2, section 6.12.7), so every device can. It gives floats, and kernels compute as ever.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from cnnrt.layer_call import LayerCall
from cnnrt.weight_storage import kept_type
from cnnrt_backend_opencl.sources import Defines

BOTH_TYPES = ("float32", "float16")
"""The `weight_types` of kernels whose sources include `half_weights.clh`."""


def weight_type(call: LayerCall) -> DTypeLike:
    """Return the type of the weights in memory."""
    return np.dtype(kept_type(call) or "float32")


def weight_bytes(call: LayerCall, weights: int) -> int:
    """Return the bytes of so many weights in memory."""
    return weights * np.dtype(weight_type(call)).itemsize


def weight_defines(call: LayerCall) -> dict[str, Defines]:
    """Return HALF_WEIGHTS, where they are."""
    return {"HALF_WEIGHTS": 1} if kept_type(call) == "float16" else {}
