"""Element-wise sum, product, maximum and the like of several inputs: see `kernels/elementwise.rs`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from cnnrt.backend import Device
from cnnrt.layer_call import LayerCall
from cnnrt_backend_renderscript.activations import SCRIPT
from cnnrt_backend_renderscript.cost_model import pass_seconds
from cnnrt_backend_renderscript.program import Globals, Launch, Operand, input_of, output_of
from cnnrt_backend_renderscript.script_kernel import FOLDS, ScriptKernel, activation

if TYPE_CHECKING:
    from cnnrt_layers.eltwise import Eltwise

FUNCTIONS = {"sum": "sum", "mean": "sum", "prod": "product", "max": "maximum", "min": "minimum", "sub": "sum",
             "div": "quotient"}  # fmt: skip
NEUTRAL = {"slope": 1.0, "low": -math.inf, "high": math.inf}


class Combine(ScriptKernel):
    """Two inputs, then the result and the next one, and so on."""

    layer = "Eltwise"
    name = "cells"
    folds = FOLDS

    def takes_call(self, call: LayerCall) -> bool | str:
        """Decline inputs that are broadcast, and powers."""
        operation = cast("Eltwise", call.layer).operation
        if operation not in FUNCTIONS:
            return f"combines by {', '.join(FUNCTIONS)}, not by {operation}"
        return len(set(call.input_shapes)) == 1 or "takes inputs of equal shapes"

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return the passes over all inputs."""
        return pass_seconds(3 * len(call.inputs) * math.prod(call.outputs[0].shape))

    def launches(self, call: LayerCall) -> Sequence[Launch]:
        """Return a launch for each input after the first; what is folded is applied by the last one."""
        if not math.prod(call.outputs[0].shape):
            return ()
        layer = cast("Eltwise", call.layer)
        count = len(call.inputs)
        factors = [float(f) for f in layer.coeff] or [1.0] * count
        if layer.operation == "sub":
            factors = [1.0, -1.0]
        last = 1.0 / count if layer.operation == "mean" else 1.0
        found = []

        def launch(function: str, first: float, second: float, inputs: tuple[Operand, ...], *, ends: bool) -> None:
            applied = activation(call) if ends else NEUTRAL
            globals_: Globals = {**applied, "factor": first, "second_factor": second}
            found.append(Launch(SCRIPT, function, globals_, inputs=inputs, output=output_of()))

        if count == 1:
            launch("scaled", factors[0] * last, 1.0, (input_of(),), ends=True)
            return found
        function = FUNCTIONS[layer.operation]
        for index in range(1, count):
            ends = index == count - 1
            scale = last if ends else 1.0
            first = factors[0] if index == 1 else 1.0
            before = input_of() if index == 1 else output_of()
            launch(function, first * scale, factors[index] * scale, (before, input_of(index)), ends=ends)
        return found
