"""Element-wise sum, product, maximum and the like of several inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from cnnrt.backend import Device
from cnnrt.layer_call import LayerCall
from cnnrt_backend_threaded.emitter import Code, Value
from cnnrt_backend_threaded.flat_work import FlatKernel
from cnnrt_backend_threaded.native_kernel import FOLDS, apply_folded

if TYPE_CHECKING:
    from cnnrt_layers.eltwise import Eltwise


OPERATIONS = ("sum", "mean", "prod", "max", "min", "sub", "div")


class Combine(FlatKernel):
    """All inputs at once, value by value."""

    layer = "Eltwise"
    name = "flat"
    folds = FOLDS

    def can_run(self, call: LayerCall, device: Device) -> bool | str:
        """Decline inputs that are broadcast, and the rarer operations."""
        operation = cast("Eltwise", call.layer).operation
        if operation not in OPERATIONS:
            return f"combines by {', '.join(OPERATIONS)}, not by {operation}"
        return len(set(call.input_shapes)) == 1 or "takes inputs of equal shapes"

    def combine(self, call: LayerCall, code: Code, values: Sequence[Value]) -> Value:
        """Return the combination of one vector of each input."""
        return combined(call, code, values)


def combined(call: LayerCall, code: Code, values: Sequence[Value]) -> Value:
    """Return the combination of one vector of each input, with what is folded in applied."""
    layer = cast("Eltwise", call.layer)
    factors = layer.coeff or (1.0,) * len(values)
    result = values[0] if factors[0] == 1 else code.build.fmul(values[0], code.constant(factors[0]))
    for value, factor in zip(values[1:], factors[1:], strict=True):
        match layer.operation:
            case "max":
                result = code.maximum(result, value)
            case "min":
                result = code.minimum(result, value)
            case "prod":
                result = code.build.fmul(result, value)
            case "sub":
                result = code.build.fsub(result, value)
            case "div":
                result = code.build.fdiv(result, value)
            case _ if factor == 1:
                result = code.build.fadd(result, value)
            case _:
                result = code.multiply_add(code.constant(factor), value, result)
    if layer.operation == "mean":
        result = code.build.fmul(result, code.constant(1 / len(values)))
    return apply_folded(call, code, result)
