"""Dropout and Flatten where a pass could not remove them: a copy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cnnrt.backend import Device, HostFunction, HostKernel, Packed
from cnnrt.layer import Array
from cnnrt.layer_call import LayerCall
from cnnrt_backend_sequential.cost_model import passes_seconds


def _copy(inputs: Sequence[Array], outputs: Sequence[Array], weights: Packed, workspace: Array) -> None:
    np.copyto(outputs[0], inputs[0].reshape(outputs[0].shape))


class _Copy(HostKernel):
    """Same values in the same order; no workspace."""

    backend = "sequential"
    name = "copy"

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return one pass over the values."""
        return passes_seconds(call.outputs[0].nbytes // 4, 1)

    def bind(self, call: LayerCall) -> HostFunction:
        """Return the copy."""
        return _copy


class CopyDropout(_Copy):
    """Dropout in inference: the identity."""

    layer = "Dropout"


class CopyFlatten(_Copy):
    """Flatten: a new shape for the same values."""

    layer = "Flatten"
