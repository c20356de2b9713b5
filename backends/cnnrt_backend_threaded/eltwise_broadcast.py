"""Eltwise of inputs of different shapes: rows of the innermost axis, along which an input is whole or one value.

The weighing of channels in squeeze-and-excitation, (N, C, H, W) times (N, C, 1, 1), is such a case.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

from cnnrt.backend import Device
from cnnrt.layer import Shape
from cnnrt.layer_call import LayerCall
from cnnrt.layouts import physical_shape
from cnnrt_backend_threaded.cost_model import pass_seconds
from cnnrt_backend_threaded.eltwise import OPERATIONS, combined
from cnnrt_backend_threaded.emitter import Code, Index, Value
from cnnrt_backend_threaded.native_kernel import FOLDS, NativeKernel

if TYPE_CHECKING:
    from cnnrt_layers.eltwise import Eltwise

UNIT = 4096
"""Values that a thread takes at a time, about."""


class CombineBroadcast(NativeKernel):
    """One row of the output after the other."""

    layer = "Eltwise"
    name = "broadcast"
    folds = FOLDS

    def can_run(self, call: LayerCall, device: Device) -> bool | str:
        """Take inputs of equal rank but different shapes."""
        operation = cast("Eltwise", call.layer).operation
        if operation not in OPERATIONS:
            return f"combines by {', '.join(OPERATIONS)}, not by {operation}"
        if len({len(shape) for shape in call.input_shapes}) > 1 or not call.output_shapes[0]:
            return "takes inputs of equal rank"
        return len(set(call.input_shapes)) > 1 or "takes inputs that are broadcast"

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return a pass over inputs and output."""
        return pass_seconds(self.machine, (len(call.inputs) + 1) * math.prod(call.outputs[0].shape))

    def units(self, call: LayerCall) -> int:
        """Return the rows."""
        shape = physical_shape(call.outputs[0])
        return math.prod(shape[:-1]) if shape[-1] else 0

    def grain(self, call: LayerCall) -> int:
        """Return how many rows make up a piece worth dealing out."""
        return max(1, UNIT // max(1, physical_shape(call.outputs[0])[-1]))

    def emit(self, call: LayerCall, code: Code) -> None:
        """Go through rows, and in each through vectors."""
        *outer, length = physical_shape(call.outputs[0])
        shapes = [physical_shape(t) for t in call.inputs]
        pointers = [code.argument(i) for i in range(len(shapes) + 1)]
        whole = length - length % code.lanes
        with code.loop(code.first, code.last) as row:
            digits = code.split(row, *outer[1:]) if outer else []
            sources = [code.at(p, _offset(code, digits, shape)) for p, shape in zip(pointers, shapes, strict=False)]
            target = code.at(pointers[-1], code.mul(row, length))

            def vector(first: Index, count: int | None) -> None:
                values: list[Value] = [
                    code.load(source, first, count) if shape[-1] == length else code.broadcast(source)
                    for source, shape in zip(sources, shapes, strict=True)
                ]
                code.store(combined(call, code, values), target, first, count)

            with code.loop(0, whole, code.lanes) as first:
                vector(first, None)
            if length % code.lanes:
                vector(whole, length % code.lanes)


def _offset(code: Code, digits: list[Index], shape: Shape) -> Index:
    """Return where the row at these outer places begins in an input of this shape; axes of length 1 stay at 0."""
    offset: Index = 0
    for axis, digit in enumerate(digits):
        if shape[axis] != 1:
            offset = code.add(offset, code.mul(digit, math.prod(shape[axis + 1 :])))
    return offset
