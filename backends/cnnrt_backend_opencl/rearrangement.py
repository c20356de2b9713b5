"""Layers that only move values: a launch for each of the copies that the layer's moves come to."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

import numpy as np

from cnnrt.backend import Device, Packed
from cnnrt.layer import Array
from cnnrt.layer_call import LayerCall
from cnnrt.tensor import PLAIN
from cnnrt_backend_opencl.convolution import MOST_VALUES
from cnnrt_backend_opencl.cost_model import LAUNCH_SECONDS, pass_seconds
from cnnrt_backend_opencl.kernel import Argument, Input, Launch, OpenCLKernel, Output, Weight
from cnnrt_backend_opencl.sources import Defines
from cnnrt_backend_opencl.strided_rows import MOST_AXES, countable, strided_rows
from cnnrt_layers import types_of
from cnnrt_layers.rearrangement import Rearrangement
from cnnrt_layers.strided_copy import Axis, StridedCopy, strided_copies

if TYPE_CHECKING:
    from cnnrt_layers.permute import Permute

MOST_COPIES = 128
"""Each is a launch."""
LARGEST = float(np.finfo(np.float32).max)


class MoveValues(OpenCLKernel):
    """Any layer that states its moves."""

    name = "copies"
    source = "move.cl"

    def __init__(self, layer: str) -> None:
        self.layer = layer

    def can_run(self, call: LayerCall, device: Device) -> bool | str:
        """Decline many pieces, many axes, what cannot be counted in 32 bits, and numbers that float32 does not hold."""
        if not countable((*call.inputs, *call.outputs)):
            return "counts values in 32 bits"
        copies = self.copies(call)
        if any(math.isfinite(copy.value or 0) and abs(copy.value or 0) > LARGEST for copy in copies):
            return "a number is put there that float32 does not hold"
        if len(copies) > MOST_COPIES:
            return f"moves {len(copies)} pieces, more than {MOST_COPIES}"
        depth = _depth(copies)
        return depth <= MOST_AXES or f"moves values along {depth} axes, more than {MOST_AXES}"

    def copies(self, call: LayerCall) -> list[StridedCopy]:
        """Return what is copied."""
        return strided_copies(call, cast("Rearrangement", call.layer).moves)

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return a pass over what is read and what is written, and a launch for each copy."""
        values = 2 * sum(math.prod(t.shape) for t in call.outputs)
        return pass_seconds(device, values) + LAUNCH_SECONDS * (len(self.copies(call)) - 1)

    def defines(self, call: LayerCall, device: Device) -> Mapping[str, Defines]:
        """Return how many axes there are."""
        return {"AXES": _depth(self.copies(call))}

    def launches(self, call: LayerCall, device: Device) -> Sequence[Launch]:
        """Return a launch for each copy."""
        copies = self.copies(call)
        return [_launch(copy, _depth(copies), device, Input()) for copy in copies]


class PermuteAxes(MoveValues):
    """Permute. (N, H, W, C) of images is how they lie in memory already, so that all of it is one run."""

    def takes(self, call: LayerCall) -> str:
        """Return NHWC for images, unless they come as (N, H, W, C) and become what the others are."""
        return PLAIN if self._order(call) == (0, 3, 1, 2) else super().takes(call)

    def gives(self, call: LayerCall) -> str:
        """Return NHWC for images, unless they become (N, H, W, C)."""
        return PLAIN if self._order(call) == (0, 2, 3, 1) else super().gives(call)

    def _order(self, call: LayerCall) -> tuple[int, ...]:
        return cast("Permute", call.layer).axes(len(call.inputs[0].shape))


class CopyStored(OpenCLKernel):
    """Constant: the stored value, once for each item. What the input holds does not matter."""

    layer = "Constant"
    name = "stored"
    source = "move.cl"

    def can_run(self, call: LayerCall, device: Device) -> bool | str:
        """Decline what cannot be counted in 32 bits."""
        return math.prod(call.outputs[0].shape) <= MOST_VALUES or "counts values in 32 bits"

    def takes(self, call: LayerCall) -> str:
        """Return the plain layout, in which networks' inputs are: only the batch counts."""
        return PLAIN

    def gives(self, call: LayerCall) -> str:
        """Return the plain layout, as the value is stored."""
        return PLAIN

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return a pass over the output."""
        return pass_seconds(device, math.prod(call.outputs[0].shape))

    def pack(self, call: LayerCall, weights: Mapping[str, Array]) -> Packed:
        """Return the value."""
        return (np.asarray(weights["value"], np.float32),)

    def defines(self, call: LayerCall, device: Device) -> Mapping[str, Defines]:
        """Return how many axes there are: items, and the values of one."""
        return {"AXES": 2}

    def launches(self, call: LayerCall, device: Device) -> Sequence[Launch]:
        """Return a copy for each item."""
        size = math.prod(call.weights["value"].shape)
        items = call.outputs[0].shape[0] if call.inputs else 1
        copy = StridedCopy(0, 0, 0, (Axis(items, size, 0), Axis(size, 1, 1)))
        return [_launch(copy, 2, device, Weight())]


def _depth(copies: Sequence[StridedCopy]) -> int:
    """Return the axes that a program for all of these copies takes."""
    return max((len(copy.axes) for copy in copies), default=1)


def _launch(copy: StridedCopy, depth: int, device: Device, source: Argument) -> Launch:
    axes = [(axis.count, axis.target, axis.source) for axis in copy.axes]
    rows = strided_rows(axes, depth, device)
    shape = (rows.run, rows.rows, rows.counts)
    output = Output(copy.output)
    if copy.value is not None:
        given: tuple[Argument, ...] = (output, *shape, rows.steps[0], copy.target, float(copy.value))
        return Launch("fill", rows.size, rows.group, given)
    arguments: tuple[Argument, ...] = (source, output, *shape, *rows.steps, copy.target, copy.source)
    return Launch("move_values", rows.size, rows.group, arguments)


MOVES = (*(MoveValues(layer) for layer in types_of(Rearrangement) if layer != "Permute"), PermuteAxes("Permute"))
