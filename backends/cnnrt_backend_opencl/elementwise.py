"""Functions of one value, and others that go through values one by one, whatever their shape."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, cast

from cnnrt.backend import Device
from cnnrt.layer_call import LayerCall
from cnnrt_backend_opencl.cost_model import pass_seconds
from cnnrt_backend_opencl.kernel import Input, Launch, OpenCLKernel, Output, flat_group, in_groups
from cnnrt_backend_opencl.limits import limits_of
from cnnrt_backend_opencl.sources import Defines

if TYPE_CHECKING:
    from cnnrt_layers.clip import Clip
    from cnnrt_layers.elu import ELU
    from cnnrt_layers.hard_sigmoid import HardSigmoid
    from cnnrt_layers.relu import ReLU
    from cnnrt_layers.swish import Swish
    from cnnrt_layers.tanh import TanH

VALUES = 16
"""Of a work-item."""


class ElementwiseKernel(OpenCLKernel):
    """A function of each value; `constants` are its parameters A and B. One program serves all shapes."""

    name = "elementwise"
    source = "elementwise.cl"
    function: ClassVar[str]

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return a pass over input and output."""
        return pass_seconds(device, 2 * math.prod(call.outputs[0].shape))

    def defines(self, call: LayerCall, device: Device) -> Mapping[str, Defines]:
        """Return which function, and how many values a work-item computes."""
        return {"FUNCTION": self.function, "VALUES": VALUES}

    def constants(self, call: LayerCall) -> tuple[float, float]:
        """Return the function's parameters."""
        return 0.0, 0.0

    def launches(self, call: LayerCall, device: Device) -> Sequence[Launch]:
        """Return one launch with a work-item for `VALUES` values."""
        count = math.prod(call.outputs[0].shape)
        group = flat_group(limits_of(device))
        items = in_groups(-(-count // VALUES), group)
        return [Launch("elementwise", (items,), (group,), (Input(), Output(), count, *self.constants(call)))]


class Rectify(ElementwiseKernel):
    """ReLU."""

    layer = "ReLU"
    function = "rectify"

    def constants(self, call: LayerCall) -> tuple[float, float]:
        """Return the slope."""
        return cast("ReLU", call.layer).negative_slope, 0.0


class Sigmoid(ElementwiseKernel):
    """The logistic function."""

    layer = "Sigmoid"
    function = "logistic"


class Tangent(ElementwiseKernel):
    """The hyperbolic tangent."""

    layer = "TanH"
    function = "tangent"

    def constants(self, call: LayerCall) -> tuple[float, float]:
        """Return slope and amplitude."""
        layer = cast("TanH", call.layer)
        return layer.slope, layer.amplitude


class Exponential(ElementwiseKernel):
    """ELU."""

    layer = "ELU"
    function = "exponential"

    def constants(self, call: LayerCall) -> tuple[float, float]:
        """Return alpha."""
        return cast("ELU", call.layer).alpha, 0.0


class Bounds(ElementwiseKernel):
    """Clip, where it could not be folded."""

    layer = "Clip"
    function = "bounds"

    def constants(self, call: LayerCall) -> tuple[float, float]:
        """Return both bounds."""
        layer = cast("Clip", call.layer)
        return -math.inf if layer.min is None else layer.min, math.inf if layer.max is None else layer.max


class SelfGate(ElementwiseKernel):
    """A value times its logistic function."""

    layer = "Swish"
    function = "swish"

    def constants(self, call: LayerCall) -> tuple[float, float]:
        """Return beta."""
        return cast("Swish", call.layer).beta, 0.0


class ClippedLine(ElementwiseKernel):
    """A clipped line."""

    layer = "HardSigmoid"
    function = "clipped_line"

    def constants(self, call: LayerCall) -> tuple[float, float]:
        """Return slope and offset."""
        layer = cast("HardSigmoid", call.layer)
        return layer.slope, layer.offset


class HardSelfGate(ElementwiseKernel):
    """A value times a clipped line."""

    layer = "HardSwish"
    function = "hard_swish"


class CopyDropout(ElementwiseKernel):
    """Dropout, which changes nothing, where it was not removed."""

    layer = "Dropout"
    function = "same"


ELEMENTWISE = (
    Rectify,
    Sigmoid,
    Tangent,
    Exponential,
    Bounds,
    SelfGate,
    ClippedLine,
    HardSelfGate,
    CopyDropout,
)
