"""Constant: the stored value, once for each item."""

from __future__ import annotations

import math
from collections.abc import Mapping

from cnnrt.backend import Device, Packed
from cnnrt.layer import Array
from cnnrt.layer_call import LayerCall
from cnnrt.tensor import PLAIN
from cnnrt_backend_threaded.aligned import aligned_floats
from cnnrt_backend_threaded.cost_model import pass_seconds
from cnnrt_backend_threaded.emitter import Code
from cnnrt_backend_threaded.native_kernel import NativeKernel


class CopyStored(NativeKernel):
    """One copy for each item; what the input holds does not matter."""

    layer = "Constant"
    name = "stored"

    def takes(self, call: LayerCall) -> str:
        """Return the plain layout, in which networks' inputs are: only the batch counts."""
        return PLAIN

    def gives(self, call: LayerCall) -> str:
        """Return the plain layout, as the value is stored."""
        return PLAIN

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return a pass over the output."""
        return pass_seconds(self.machine, math.prod(call.outputs[0].shape))

    def packed_arrays(self, call: LayerCall) -> int:
        """Return 1: the value."""
        return 1

    def pack(self, call: LayerCall, weights: Mapping[str, Array]) -> Packed:
        """Return the value."""
        packed = aligned_floats(weights["value"].shape)
        packed[...] = weights["value"]
        return (packed,)

    def packed_bytes(self, call: LayerCall) -> int:
        """Return the bytes of the value."""
        return 4 * math.prod(call.weights["value"].shape)

    def units(self, call: LayerCall) -> int:
        """Return the items."""
        shape = call.outputs[0].shape
        return (shape[0] if call.inputs else 1) if math.prod(shape) else 0

    def emit(self, call: LayerCall, code: Code) -> None:
        """Copy the value to each item."""
        size = math.prod(call.weights["value"].shape)
        out, value = code.argument(len(call.inputs)), code.argument(len(call.inputs) + 1)
        with code.loop(code.first, code.last) as item:
            code.copy(code.at(out, code.mul(item, size)), value, size)
