"""Element-wise sum, product, maximum and the like of inputs of equal shape."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

from cnnrt.backend import Device
from cnnrt.layer_call import LayerCall
from cnnrt_backend_opencl.convolution import MOST_VALUES
from cnnrt_backend_opencl.cost_model import pass_seconds
from cnnrt_backend_opencl.folding import FOLDS, folded_defines
from cnnrt_backend_opencl.kernel import Input, Launch, OpenCLKernel, Output, flat_group, in_groups
from cnnrt_backend_opencl.limits import limits_of
from cnnrt_backend_opencl.sources import Defines

if TYPE_CHECKING:
    from cnnrt_layers.eltwise import Eltwise

OPERATIONS = {
    "sum": "SUM",
    "mean": "SUM",
    "prod": "PRODUCT",
    "max": "MAXIMUM",
    "min": "MINIMUM",
    "sub": "DIFFERENCE",
    "div": "QUOTIENT",
}


class Combine(OpenCLKernel):
    """Two inputs at a time."""

    layer = "Eltwise"
    name = "pairs"
    source = "eltwise.cl"
    folds = FOLDS

    def can_run(self, call: LayerCall, device: Device) -> bool | str:
        """Decline one input, inputs that are broadcast, powers, and what cannot be counted in 32 bits."""
        operation = cast("Eltwise", call.layer).operation
        if operation not in OPERATIONS:
            return f"combines by {', '.join(OPERATIONS)}, not by {operation}"
        if len(call.inputs) < 2 or len(set(call.input_shapes)) > 1:
            return "takes two or more inputs of equal shapes"
        if len(call.inputs) > 2 and call.folded:
            return "folds into pairs only: what is folded must not be applied in between"
        return math.prod(call.inputs[0].shape) <= MOST_VALUES or "counts values in 32 bits"

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return a pass over three tensors for each pair."""
        pairs = len(call.inputs) - 1
        return pairs * pass_seconds(device, 3 * math.prod(call.outputs[0].shape))

    def defines(self, call: LayerCall, device: Device) -> Mapping[str, Defines]:
        """Return the operation, and what is folded in."""
        operation = OPERATIONS[cast("Eltwise", call.layer).operation]
        return {**folded_defines(call), "OPERATION": operation, "LANES": 8 if limits_of(device).cpu else 4}

    def launches(self, call: LayerCall, device: Device) -> Sequence[Launch]:
        """Return one launch for each input after the first."""
        layer = cast("Eltwise", call.layer)
        values = math.prod(call.outputs[0].shape)
        factors = layer.coeff or (1.0,) * len(call.inputs)
        limits = limits_of(device)
        group = flat_group(limits)
        size = in_groups(-(-values // (8 if limits.cpu else 4)), group)
        last = len(call.inputs) - 1
        found = []
        for i in range(1, len(call.inputs)):
            before = Input(0) if i == 1 else Output()
            scale = 1 / len(call.inputs) if layer.operation == "mean" and i == last else 1.0
            numbers = (float(factors[0]) if i == 1 else 1.0, float(factors[i]), scale)
            found.append(Launch("combine", (size,), (group,), (before, Input(i), Output(), values, *numbers)))
        return found
