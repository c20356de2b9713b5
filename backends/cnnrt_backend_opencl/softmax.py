"""Softmax and its logarithm, along any axis."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

from cnnrt.backend import Device
from cnnrt.layer_call import LayerCall
from cnnrt_backend_opencl.axes import around_axis
from cnnrt_backend_opencl.cost_model import pass_seconds
from cnnrt_backend_opencl.kernel import Input, Launch, OpenCLKernel, Output, flat_group
from cnnrt_backend_opencl.limits import limits_of
from cnnrt_backend_opencl.sources import Defines

if TYPE_CHECKING:
    from cnnrt_layers.log_softmax import LogSoftmax
    from cnnrt_layers.softmax import Softmax


class Exponentials(OpenCLKernel):
    """A work-group for each line."""

    layer = "Softmax"
    name = "lines"
    source = "softmax.cl"
    logarithm = False

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return some passes."""
        return pass_seconds(device, 16 * math.prod(call.inputs[0].shape))

    def defines(self, call: LayerCall, device: Device) -> Mapping[str, Defines]:
        """Return the workers of a line, and whether it is the logarithm."""
        return {"WORKERS": _workers(device, _around(call)[1]), "LOGARITHM": int(self.logarithm)}

    def launches(self, call: LayerCall, device: Device) -> Sequence[Launch]:
        """Return one launch: lines."""
        outer, count, inner = _around(call)
        workers = _workers(device, count)
        size = outer * inner * workers if count else 0
        return [Launch("exponentials", (size,), (workers,), (Input(), Output(), count, inner))]


class Logarithms(Exponentials):
    """LogSoftmax."""

    layer = "LogSoftmax"
    logarithm = True


def _around(call: LayerCall) -> tuple[int, int, int]:
    return around_axis(call.inputs[0], cast("Softmax | LogSoftmax", call.layer).axis)


def _workers(device: Device, count: int) -> int:
    limits = limits_of(device)
    return 1 if limits.cpu else flat_group(limits, max(1, min(256, count)))
