"""Functions of one value, whatever the shape."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cnnrt.backend import Device
from cnnrt.layer_call import LayerCall
from cnnrt_backend_opencl.cost_model import pass_seconds
from cnnrt_backend_opencl.kernel import Input, Launch, OpenCLKernel, Output, flat_group, in_groups
from cnnrt_backend_opencl.limits import limits_of
from cnnrt_backend_opencl.sources import Defines
from cnnrt_backend_opencl.two_floats import two_floats

VALUES = 16
"""Of a work-item."""

Applied = tuple[str, tuple[float, ...]]
"""The name of a function in elementwise.cl, and its constants, up to four."""


def _clip(layer: Any) -> Applied:
    low, high = layer.min, layer.max
    return "bounds", (-math.inf if low is None else low, math.inf if high is None else high)


def _exp(layer: Any) -> Applied:
    unit = 1.0 if layer.base == -1 else math.log(layer.base)
    return "power_of_base", (layer.scale * unit, *two_floats(layer.shift * unit))


def _log(layer: Any) -> Applied:
    unit = 1.0 if layer.base == -1 else 1 / math.log(layer.base)
    return "logarithm", (layer.scale, *two_floats(layer.shift), unit)


def _power(layer: Any) -> Applied:
    name = {1: "line", 2: "squared_line"}.get(layer.power, "power_of_line")
    return name, (layer.scale, *two_floats(layer.shift), layer.power)


FUNCTIONS: Mapping[str, Callable[[Any], Applied]] = {
    "AbsVal": lambda layer: ("absolute", ()),
    "Clip": _clip,
    "ELU": lambda layer: ("exponential", (1.0, layer.alpha)),
    "Exp": _exp,
    "GELU": lambda layer: ("gelu_by_tangent" if layer.approximate == "tanh" else "gelu", ()),
    "HardSigmoid": lambda layer: ("clipped_line", (layer.slope, layer.offset)),
    "HardSwish": lambda layer: ("hard_swish", ()),
    "Log": _log,
    "Mish": lambda layer: ("mish", ()),
    "Power": _power,
    "ReLU": lambda layer: ("rectify", (layer.negative_slope,)),
    "SELU": lambda layer: ("exponential", (layer.gamma, layer.gamma * layer.alpha)),
    "Sigmoid": lambda layer: ("logistic", ()),
    "Softplus": lambda layer: ("softplus", ()),
    "Softsign": lambda layer: ("softsign", ()),
    "Swish": lambda layer: ("swish", (layer.beta,)),
    "TanH": lambda layer: ("tangent", (layer.slope, layer.amplitude)),
    "Threshold": lambda layer: ("threshold", (layer.threshold, layer.value)),
    "Unary": lambda layer: (f"unary_{layer.operation}", ()),
}
"""For each layer type, how its function is called."""


class ElementwiseKernel(OpenCLKernel):
    """A function of each value. One program serves all shapes and constants."""

    name = "elementwise"
    source = "elementwise.cl"

    def __init__(self, layer: str) -> None:
        self.layer = layer

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return a pass over input and output."""
        return pass_seconds(device, 2 * math.prod(call.outputs[0].shape))

    def defines(self, call: LayerCall, device: Device) -> Mapping[str, Defines]:
        """Return which function, and how many values a work-item computes."""
        return {"FUNCTION": FUNCTIONS[self.layer](call.layer)[0], "VALUES": VALUES}

    def launches(self, call: LayerCall, device: Device) -> Sequence[Launch]:
        """Return one launch with a work-item for `VALUES` values."""
        count = math.prod(call.outputs[0].shape)
        group = flat_group(limits_of(device))
        items = in_groups(-(-count // VALUES), group)
        constants = FUNCTIONS[self.layer](call.layer)[1]
        vector = tuple(float(number) for number in (*constants, *[0.0] * (4 - len(constants))))
        return [Launch("elementwise", (items,), (group,), (Input(), Output(), count, vector))]


ELEMENTWISE = tuple(ElementwiseKernel(layer) for layer in FUNCTIONS)
