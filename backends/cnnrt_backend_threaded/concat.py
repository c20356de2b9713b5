"""Concatenation: runs of each input are copied to their places."""

from __future__ import annotations

import math
from itertools import accumulate
from typing import TYPE_CHECKING, cast

from cnnrt.backend import Device
from cnnrt.layer_call import LayerCall
from cnnrt.layouts import PERMUTATIONS, physical_shape
from cnnrt_backend_threaded.cost_model import pass_seconds
from cnnrt_backend_threaded.emitter import Code
from cnnrt_backend_threaded.native_kernel import NativeKernel

if TYPE_CHECKING:
    from cnnrt_layers.concat import Concat

UNIT = 16384
"""Values that a thread takes at a time, about."""


class CopyRuns(NativeKernel):
    """One copy for each input and place before the axis."""

    layer = "Concat"
    name = "copy"

    def writes_part(self, call: LayerCall) -> bool:
        """Return True where the output is one run for each place, whether they lie side by side or not."""
        return not call.outputs[0].pitch or _axis(call) == len(call.outputs[0].shape) - 1

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return a pass over input and output."""
        return pass_seconds(self.machine, 2 * math.prod(call.outputs[0].shape))

    def units(self, call: LayerCall) -> int:
        """Return the places before the axis."""
        shape = physical_shape(call.outputs[0])
        return math.prod(shape[: _axis(call)]) if math.prod(shape) else 0

    def grain(self, call: LayerCall) -> int:
        """Return how many places make up a piece worth dealing out."""
        return max(1, UNIT // max(1, math.prod(physical_shape(call.outputs[0])[_axis(call) :])))

    def emit(self, call: LayerCall, code: Code) -> None:
        """Copy a run of every input for each place."""
        axis = _axis(call)
        runs = [math.prod(physical_shape(t)[axis:]) for t in call.inputs]
        starts = [0, *accumulate(runs)]
        inputs = [code.argument(i) for i in range(len(runs))]
        out = code.argument(len(runs))
        with code.loop(code.first, code.last) as place:
            target = code.at(out, code.mul(place, call.outputs[0].pitch or starts[-1]))
            for source, run, start in zip(inputs, runs, starts, strict=False):
                if run:
                    code.copy(code.at(target, start), code.at(source, code.mul(place, run)), run)


def _axis(call: LayerCall) -> int:
    """Return the axis as the values lie in memory."""
    tensor = call.outputs[0]
    axis = cast("Concat", call.layer).axis % len(tensor.shape)
    order = PERMUTATIONS.get(tensor.layout)
    return axis if order is None else order.index(axis)
