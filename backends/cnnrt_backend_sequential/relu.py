"""ReLU that was not folded into the layer before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from cnnrt.backend import Device, HostFunction, HostKernel, Packed
from cnnrt.layer import Array
from cnnrt.layer_call import LayerCall
from cnnrt_backend_sequential.cost_model import passes_seconds
from cnnrt_backend_sequential.rectifier import rectify

if TYPE_CHECKING:
    from cnnrt_layers.relu import ReLU


class Rectify(HostKernel):
    """One pass over the values, two where the slope is not 0; no workspace."""

    layer = "ReLU"
    backend = "sequential"
    name = "rectify"

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return the passes over the values."""
        return passes_seconds(call.outputs[0].nbytes // 4, 2)

    def bind(self, call: LayerCall) -> HostFunction:
        """Return the function for the layer's slope."""
        slope = cast("ReLU", call.layer).negative_slope

        def run(inputs: Sequence[Array], outputs: Sequence[Array], weights: Packed, workspace: Array) -> None:
            rectify(inputs[0], slope, outputs[0])

        return run
