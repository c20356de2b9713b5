"""Element-wise sum, product, maximum and the like."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

import numpy as np

from cnnrt.backend import Device
from cnnrt.layer_call import LayerCall
from cnnrt.tensor import PLAIN
from cnnrt_backend_opencl.convolution import MOST_VALUES
from cnnrt_backend_opencl.cost_model import pass_seconds
from cnnrt_backend_opencl.folding import FOLDS, folded_defines
from cnnrt_backend_opencl.kernel import Input, Launch, OpenCLKernel, Output, flat_group, in_groups
from cnnrt_backend_opencl.limits import limits_of
from cnnrt_backend_opencl.sources import Defines
from cnnrt_backend_opencl.strided_rows import MOST_AXES, countable, strided_rows
from cnnrt_layers.strided_copy import joined_axes, shadows

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
    "pow": "POWER",
}


class Combine(OpenCLKernel):
    """Two inputs at a time."""

    layer = "Eltwise"
    name = "pairs"
    source = "eltwise.cl"
    folds = FOLDS

    def can_run(self, call: LayerCall, device: Device) -> bool | str:
        """Decline one input, inputs that are broadcast, and what cannot be counted in 32 bits."""
        if len(call.inputs) < 2 or len(set(call.input_shapes)) > 1:
            return "takes two or more inputs of equal shapes"
        if not _folds(call):
            return "folds into pairs only, lest it be applied in between, and not into powers, which may be no numbers"
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
        values = math.prod(call.outputs[0].shape)
        limits = limits_of(device)
        group = flat_group(limits)
        size = in_groups(-(-values // (8 if limits.cpu else 4)), group)
        return [Launch("combine", (size,), (group,), (*pair, values, *factors)) for pair, factors in _pairs(call)]


class CombineBroadcast(OpenCLKernel):
    """The same for inputs of different shapes, such as the weighing of channels in squeeze-and-excitation."""

    layer = "Eltwise"
    name = "broadcast"
    source = "eltwise.cl"
    folds = FOLDS

    def can_run(self, call: LayerCall, device: Device) -> bool | str:
        """Take inputs of different shapes."""
        if len(set(call.input_shapes)) < 2:
            return "takes inputs that are broadcast"
        if not _folds(call):
            return "folds into pairs only, lest it be applied in between, and not into powers, which may be no numbers"
        if not countable((*call.inputs, *call.outputs)):
            return "counts values in 32 bits"
        depth = self._depth(call)
        return depth <= MOST_AXES or f"combines values along {depth} axes, more than {MOST_AXES}"

    def takes(self, call: LayerCall) -> str:
        """Return the plain layout where ranks differ, since axes are aligned at their ends."""
        return super().takes(call) if len({len(shape) for shape in call.input_shapes}) == 1 else PLAIN

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return a pass over three tensors for each pair."""
        return (len(call.inputs) - 1) * pass_seconds(device, 3 * math.prod(call.outputs[0].shape))

    def defines(self, call: LayerCall, device: Device) -> Mapping[str, Defines]:
        """Return the operation, what is folded in, and the number of axes."""
        operation = OPERATIONS[cast("Eltwise", call.layer).operation]
        return {**folded_defines(call), "OPERATION": operation, "LANES": 1, "AXES": self._depth(call)}

    def launches(self, call: LayerCall, device: Device) -> Sequence[Launch]:
        """Return one launch for each input after the first."""
        found = []
        for (pair, factors), axes in zip(_pairs(call), self._axes(call), strict=True):
            rows = strided_rows(axes, self._depth(call), device)
            arguments = (*pair, rows.run, rows.rows, rows.counts, *rows.steps, *factors)
            found.append(Launch("combine_axes", rows.size, rows.group, arguments))
        return found

    def _axes(self, call: LayerCall) -> list[list[tuple[int, ...]]]:
        """Return, for each pair, the axes: values, and steps in the output and both inputs."""
        y, *given = (np.broadcast_to(view, call.outputs[0].shape) for view in shadows((*call.outputs, *call.inputs)))
        found = []
        for left, right in zip((given[0], *[y] * (len(given) - 2)), given[1:], strict=True):
            steps = (tuple(step // 4 for step in view.strides) for view in (y, left, right))
            found.append(joined_axes(list(zip(y.shape, *steps, strict=True))) or [(1, 1, 1, 1)])
        return found

    def _depth(self, call: LayerCall) -> int:
        return max(map(len, self._axes(call)))


def _folds(call: LayerCall) -> bool:
    """Tell whether what is folded in, if anything, can be applied: some devices make 0 of NaN there."""
    return not call.folded or (len(call.inputs) == 2 and cast("Eltwise", call.layer).operation != "pow")


def _pairs(call: LayerCall) -> list[tuple[tuple[Input | Output, ...], tuple[float, float, float]]]:
    """Return, for each input after the first, the buffers that are combined, and the factors of both and of the sum."""
    layer = cast("Eltwise", call.layer)
    factors = layer.coeff or (1.0,) * len(call.inputs)
    last = len(call.inputs) - 1
    found: list[tuple[tuple[Input | Output, ...], tuple[float, float, float]]] = []
    for i in range(1, len(call.inputs)):
        before = Input(0) if i == 1 else Output()
        scale = 1 / len(call.inputs) if layer.operation == "mean" and i == last else 1.0
        numbers = (float(factors[0]) if i == 1 else 1.0, float(factors[i]), scale)
        found.append(((before, Input(i), Output()), numbers))
    return found
