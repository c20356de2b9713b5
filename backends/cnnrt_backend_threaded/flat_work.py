"""Kernels that go through values one after the other, whatever their shape: the same code for each value."""

from __future__ import annotations

import abc
import math
from collections.abc import Sequence

from cnnrt.backend import Device
from cnnrt.layer_call import LayerCall
from cnnrt_backend_threaded.cost_model import pass_seconds
from cnnrt_backend_threaded.emitter import Code, Value
from cnnrt_backend_threaded.native_kernel import NativeKernel

UNIT = 4096
"""Values of a unit: 16 KiB of each operand, which the first cache holds."""


class FlatKernel(NativeKernel):
    """Computes each output value from the values at the same place of the inputs."""

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return a pass over inputs and output."""
        return pass_seconds(self.machine, (len(call.inputs) + 1) * math.prod(call.outputs[0].shape))

    def units(self, call: LayerCall) -> int:
        """Return the number of pieces."""
        return -(-math.prod(call.outputs[0].shape) // UNIT)

    @abc.abstractmethod
    def combine(self, call: LayerCall, code: Code, values: Sequence[Value]) -> Value:
        """Return the results for vectors of the inputs."""

    def emit(self, call: LayerCall, code: Code) -> None:
        """Go through whole vectors, then through the lanes that are left at the very end."""
        total = math.prod(call.outputs[0].shape)
        pointers = [code.argument(i) for i in range(len(call.inputs) + 1)]
        whole = total - total % code.lanes
        start = code.mul(code.first, UNIT)
        stop = code.smaller(code.mul(code.last, UNIT), whole)

        def piece(place: Value, count: int | None) -> None:
            values = [code.load(pointer, place, count) for pointer in pointers[:-1]]
            code.store(self.combine(call, code, values), pointers[-1], place, count)

        with code.loop(start, stop, code.lanes) as place:
            piece(place, None)
        if total % code.lanes:
            with code.when(_reaches(code, total)):
                piece(whole, total % code.lanes)


def _reaches(code: Code, total: int) -> Value:
    """Return whether these units contain the last value."""
    return code.build.not_(code.less(code.mul(code.last, UNIT), total))
