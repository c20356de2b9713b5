"""Element-wise sum, product and maximum of several inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from cnnrt.backend import Device
from cnnrt.layer_call import LayerCall
from cnnrt_backend_threaded.emitter import Code, Value
from cnnrt_backend_threaded.flat_work import FlatKernel
from cnnrt_backend_threaded.native_kernel import apply_folded

if TYPE_CHECKING:
    from cnnrt_layers.eltwise import Eltwise


class Combine(FlatKernel):
    """All inputs at once, value by value."""

    layer = "Eltwise"
    name = "flat"
    folds = ("ReLU",)

    def can_run(self, call: LayerCall, device: Device) -> bool | str:
        """Decline inputs that are broadcast, and the rarer operations."""
        operation = cast("Eltwise", call.layer).operation
        if operation not in ("sum", "prod", "max"):
            return f"combines by sum, prod and max, not by {operation}"
        return len(set(call.input_shapes)) == 1 or "takes inputs of equal shapes"

    def combine(self, call: LayerCall, code: Code, values: Sequence[Value]) -> Value:
        """Return the combination of one vector of each input, rectified where that is folded in."""
        layer = cast("Eltwise", call.layer)
        factors = layer.coeff or (1.0,) * len(values)
        result = values[0] if factors[0] == 1 else code.build.fmul(values[0], code.constant(factors[0]))
        for value, factor in zip(values[1:], factors[1:], strict=True):
            if layer.operation == "max":
                result = code.maximum(result, value)
            elif layer.operation == "prod":
                result = code.build.fmul(result, value)
            elif factor == 1:
                result = code.build.fadd(result, value)
            else:
                result = code.multiply_add(code.constant(factor), value, result)
        return apply_folded(call, code, result)
