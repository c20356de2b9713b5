"""Flatten where it is not a view: a copy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cnnrt.backend import Device, HostFunction, HostKernel, Packed
from cnnrt.layer import Array
from cnnrt.layer_call import LayerCall
from cnnrt_backend_sequential.cost_model import passes_seconds


class CopyFlatten(HostKernel):
    """Flatten: a new shape for the same values; no workspace."""

    layer = "Flatten"
    backend = "sequential"
    name = "copy"

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return one pass over the values."""
        return passes_seconds(call.outputs[0].nbytes // 4, 1)

    def bind(self, call: LayerCall) -> HostFunction:
        """Return the copy."""
        return _copy


def _copy(inputs: Sequence[Array], outputs: Sequence[Array], weights: Packed, workspace: Array) -> None:
    np.copyto(outputs[0], inputs[0].reshape(outputs[0].shape))
