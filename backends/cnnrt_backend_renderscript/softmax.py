"""Softmax: see `kernels/softmax.rs`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from cnnrt.backend import Device
from cnnrt.layer_call import LayerCall
from cnnrt.layouts import physical_shape
from cnnrt_backend_renderscript.cost_model import pass_seconds
from cnnrt_backend_renderscript.physical_axis import physical_axis
from cnnrt_backend_renderscript.program import Globals, Launch, input_of, output_of
from cnnrt_backend_renderscript.script import Script
from cnnrt_backend_renderscript.script_kernel import ScriptKernel

if TYPE_CHECKING:
    from cnnrt_layers.softmax import Softmax


class Exponentials(ScriptKernel):
    """The largest score is subtracted first."""

    layer = "Softmax"
    name = "exponentials"

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return the time of an exponential for each value."""
        return pass_seconds(20 * math.prod(call.outputs[0].shape))

    def launches(self, call: LayerCall) -> Sequence[Launch]:
        """Return one launch over all places beside the axis."""
        tensor = call.outputs[0]
        total = math.prod(tensor.shape)
        if not total:
            return ()
        axis = physical_axis(tensor, cast("Softmax", call.layer).axis)
        lengths = physical_shape(tensor)
        step = math.prod(lengths[axis + 1 :])
        globals_: Globals = {"scores": input_of(), "out": output_of(), "classes": lengths[axis], "step": step}
        return (Launch(Script("softmax"), "exponentials", globals_, total // lengths[axis]),)
