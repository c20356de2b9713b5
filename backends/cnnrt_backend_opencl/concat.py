"""Concatenation: runs of each input are copied to their places."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, cast

from cnnrt.backend import Device
from cnnrt.layer_call import LayerCall
from cnnrt_backend_opencl.axes import around_axis
from cnnrt_backend_opencl.convolution import MOST_VALUES
from cnnrt_backend_opencl.cost_model import pass_seconds
from cnnrt_backend_opencl.kernel import Input, Launch, OpenCLKernel, Output, flat_group, in_groups
from cnnrt_backend_opencl.limits import limits_of

if TYPE_CHECKING:
    from cnnrt_layers.concat import Concat


class CopyRuns(OpenCLKernel):
    """One launch for each input."""

    layer = "Concat"
    name = "copy"
    source = "concat.cl"

    def can_run(self, call: LayerCall, device: Device) -> bool | str:
        """Decline what cannot be counted in 32 bits."""
        return math.prod(call.outputs[0].shape) <= MOST_VALUES or "counts values in 32 bits"

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return a pass over input and output, and a launch for each input."""
        return len(call.inputs) * pass_seconds(device, 2 * math.prod(call.outputs[0].shape) / len(call.inputs))

    def launches(self, call: LayerCall, device: Device) -> Sequence[Launch]:
        """Return a launch for each input: its values."""
        axis = cast("Concat", call.layer).axis
        runs = [math.prod(around_axis(t, axis)[1:]) for t in call.inputs]
        starts = [0, *accumulate(runs)]
        group = flat_group(limits_of(device))
        found = []
        for i, (tensor, run) in enumerate(zip(call.inputs, runs, strict=True)):
            values = math.prod(tensor.shape)
            numbers = (max(1, run), starts[-1], starts[i], values)
            found.append(Launch("copy_runs", (in_groups(values, group),), (group,), (Input(i), Output(), *numbers)))
        return found
