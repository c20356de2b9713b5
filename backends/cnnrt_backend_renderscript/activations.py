"""Activations on their own, each the same function of every value: see `kernels/elementwise.rs`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from cnnrt.backend import Device, Kernel
from cnnrt.layer_call import LayerCall
from cnnrt_backend_renderscript.cost_model import pass_seconds
from cnnrt_backend_renderscript.program import Globals, Launch, input_of, output_of
from cnnrt_backend_renderscript.script import Script
from cnnrt_backend_renderscript.script_kernel import ScriptKernel, folded_bounds

SCRIPT = Script("elementwise")


class Activation(ScriptKernel):
    """One function of one value. `function`: its name in elementwise.rs."""

    name = "cells"
    function: ClassVar[str]

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return a few passes over the values."""
        return pass_seconds(8 * math.prod(call.outputs[0].shape))

    def launches(self, call: LayerCall) -> Sequence[Launch]:
        """Return one launch over all cells."""
        if not math.prod(call.outputs[0].shape):
            return ()
        globals_: Globals = {name: float(value) for name, value in self.amounts(call.layer).items()}
        return (Launch(SCRIPT, self.function, globals_, inputs=(input_of(),), output=output_of()),)

    def amounts(self, layer: Any) -> Mapping[str, float]:
        """Return the globals that it is parameterised by."""
        return {}


def _bounds(layer: Any) -> Mapping[str, float]:
    found = folded_bounds((layer,))
    assert not isinstance(found, str)
    return dict(zip(("slope", "low", "high"), found, strict=True))


class Rectify(Activation):
    """ReLU, where it could not be folded."""

    layer = "ReLU"
    function = "rectify"

    def amounts(self, layer: Any) -> Mapping[str, float]:
        """Return slope and bounds."""
        return _bounds(layer)


class Bounds(Activation):
    """Clip, where it could not be folded."""

    layer = "Clip"
    function = "rectify"

    def amounts(self, layer: Any) -> Mapping[str, float]:
        """Return slope and bounds."""
        return _bounds(layer)


class Sigmoid(Activation):
    """The logistic function."""

    layer = "Sigmoid"
    function = "sigmoid"


class Swish(Activation):
    """A value times its logistic function."""

    layer = "Swish"
    function = "swish"

    def amounts(self, layer: Any) -> Mapping[str, float]:
        """Return what the layer states."""
        return {"amount": layer.beta}


class HardSigmoid(Activation):
    """A clipped line."""

    layer = "HardSigmoid"
    function = "hard_sigmoid"

    def amounts(self, layer: Any) -> Mapping[str, float]:
        """Return what the layer states."""
        return {"amount": layer.slope, "second_amount": layer.offset}


class HardSwish(Activation):
    """A value times a clipped line."""

    layer = "HardSwish"
    function = "hard_swish"


class Tangent(Activation):
    """The hyperbolic tangent."""

    layer = "TanH"
    function = "tangent"

    def amounts(self, layer: Any) -> Mapping[str, float]:
        """Return what the layer states."""
        return {"amount": layer.amplitude, "second_amount": layer.slope}


class Exponential(Activation):
    """ELU."""

    layer = "ELU"
    function = "exponential_unit"

    def amounts(self, layer: Any) -> Mapping[str, float]:
        """Return what the layer states."""
        return {"amount": layer.alpha}


ACTIVATIONS: tuple[type[Kernel], ...] = (
    Rectify, Bounds, Sigmoid, Swish, HardSigmoid, HardSwish, Tangent, Exponential,
)  # fmt: skip
