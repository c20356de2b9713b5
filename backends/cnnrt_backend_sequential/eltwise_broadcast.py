"""Eltwise of inputs of different shapes, by NumPy's own broadcasting."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from cnnrt.backend import Device, HostFunction, HostKernel, Packed
from cnnrt.layer import Array
from cnnrt.layer_call import LayerCall
from cnnrt_backend_sequential.cost_model import passes_seconds
from cnnrt_backend_sequential.eltwise import COMBINE

if TYPE_CHECKING:
    from cnnrt_layers.eltwise import Eltwise


class CombineBroadcast(HostKernel):
    """One call for each input after the first, straight into the output; no workspace."""

    layer = "Eltwise"
    backend = "sequential"
    name = "broadcast"

    def can_run(self, call: LayerCall, device: Device) -> bool | str:
        """Take inputs of different shapes, without factors."""
        layer = cast("Eltwise", call.layer)
        if layer.operation not in COMBINE or layer.coeff:
            return f"combines by {', '.join(COMBINE)}, without factors"
        return len(set(call.input_shapes)) > 1 or "takes inputs that are broadcast"

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return a pass for each input."""
        return passes_seconds(math.prod(call.outputs[0].shape), len(call.inputs), len(call.inputs))

    def bind(self, call: LayerCall) -> HostFunction:
        """Return the calls."""
        combine = COMBINE[cast("Eltwise", call.layer).operation]

        def run(inputs: Sequence[Array], outputs: Sequence[Array], weights: Packed, workspace: Array) -> None:
            (out,) = outputs
            combine(inputs[0], inputs[1], out=out)
            for x in inputs[2:]:
                combine(out, x, out=out)

        return run
