"""Reduction along any axes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

import numpy as np

from cnnrt.backend import Device
from cnnrt.layer_call import LayerCall
from cnnrt_backend_opencl.cost_model import pass_seconds
from cnnrt_backend_opencl.grouped_axes import GroupedAxes, grouped_axes
from cnnrt_backend_opencl.kernel import Input, Launch, OpenCLKernel, Output
from cnnrt_backend_opencl.sources import Defines
from cnnrt_backend_opencl.strided_rows import MOST_AXES, countable
from cnnrt_layers.strided_copy import shadows

if TYPE_CHECKING:
    from cnnrt_layers.reduction import Reduction

OPERATIONS = {
    "sum": "SUM",
    "mean": "SUM",
    "max": "MAXIMUM",
    "min": "MINIMUM",
    "prod": "PRODUCT",
    "l1": "SIZES",
    "l2": "LENGTH",
    "sum_square": "SQUARES",
    "log_sum": "LOGARITHM",
    "log_sum_exp": "LOGARITHM_OF_POWERS",
}


class ReduceGroups(OpenCLKernel):
    """Values that become one number are a group."""

    layer = "Reduction"
    name = "groups"
    source = "groups.cl"

    def can_run(self, call: LayerCall, device: Device) -> bool | str:
        """Decline what cannot be counted in 32 bits, and many axes."""
        if not countable(call.inputs):
            return "counts values in 32 bits"
        depth = _axes(call).depth
        return depth <= MOST_AXES or f"combines values along {depth} axes, more than {MOST_AXES}"

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return some passes over the input."""
        return pass_seconds(device, 4 * math.prod(call.inputs[0].shape))

    def defines(self, call: LayerCall, device: Device) -> Mapping[str, Defines]:
        """Return the operation, and how groups are cut into work-items."""
        operation = OPERATIONS[cast("Reduction", call.layer).operation]
        return {**_axes(call).defines(device), "OPERATION": operation}

    def launches(self, call: LayerCall, device: Device) -> Sequence[Launch]:
        """Return one launch: all groups."""
        layer, axes = cast("Reduction", call.layer), _axes(call)
        factor = layer.coeff / axes.count if layer.operation == "mean" else layer.coeff
        return [axes.launch("reduce", device, (Input(), Output()), (float(factor),))]


def _axes(call: LayerCall) -> GroupedAxes:
    """Return the groups: steps in the output and the input from one to the next, in the input within."""
    along = cast("Reduction", call.layer).along(call.inputs[0].shape)
    x, y = shadows((*call.inputs, *call.outputs))
    if y.ndim == x.ndim:
        y = np.squeeze(y, tuple(along))
    return grouped_axes([x], along, [y])
