"""Activations: layers that treat every value alike, and those with a slope for each channel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnrt.channels_last.arithmetic import combine, limits, value_by_value
from cnnrt.channels_last.axis_order import in_source_order, unfolded
from cnnrt.channels_last.constants import Constant
from cnnrt.channels_last.network import Network
from cnnrt.channels_last.values import IMAGE_ORDER, Flow, Place, shape_words
from netfile_spec import Value as KeyValue

_LAYERS: Mapping[str, tuple[str, Mapping[str, KeyValue]]] = {
    "elu": ("ELU", {}),
    "erf": ("Unary", {"operation": "erf"}),
    "exponential": ("Exp", {}),
    "gelu": ("GELU", {}),
    "gelu_tanh": ("GELU", {"approximate": "tanh"}),
    "hard_swish": ("HardSwish", {}),
    "relu": ("ReLU", {}),
    "selu": ("SELU", {}),
    "sigmoid": ("Sigmoid", {}),
    "softplus": ("Softplus", {}),
    "softsign": ("Softsign", {}),
    "swish": ("Swish", {}),
    "tanh": ("TanH", {}),
    "abs": ("AbsVal", {}),
    "log": ("Log", {}),
    "square": ("Power", {"power": 2.0}),
    "sqrt": ("Power", {"power": 0.5}),
    "rsqrt": ("Power", {"power": -0.5}),
    "negative": ("Power", {"scale": -1.0}),
}
_LIMITS = {"relu6": (0.0, 6.0), "relu_n1_to_1": (-1.0, 1.0)}
ACTIVATIONS = (*_LAYERS, *_LIMITS)
"""Names that `activation` knows; importers translate their own into these."""


def activation(net: Network, place: Place, value: Flow, name: str, keys: Mapping[str, KeyValue] | None = None) -> Flow:
    """Apply one of ACTIVATIONS; `keys` are the layer's where they differ from its defaults."""
    if name in _LIMITS:
        return limits(net, place, value, *_LIMITS[name])
    kind, usual = _LAYERS[name]
    return value_by_value(net, place, value, kind, {**usual, **(keys or {})})


def leaky_relu(net: Network, place: Place, value: Flow, slope: float) -> Flow:
    """ReLU with a factor for what is below 0."""
    return value_by_value(net, place, value, "ReLU", {"negative_slope": slope} if slope else {})


def prelu(net: Network, place: Place, value: Flow, slopes: Constant) -> Flow:
    """ReLU with a factor for each channel; the slopes of all rows and columns must be shared."""
    if value.failed:
        return value
    if value.item is None:
        return net.unknown_shape(place)
    value = unfolded(net, place, value) if value.rank == 3 else in_source_order(net, place, value)
    channels = slopes.shape[-1] if slopes.shape else 1
    if slopes.count != channels or (value.rank == 3 and value.order != IMAGE_ORDER) or value.rank == 2:
        shown = f"{shape_words(slopes.shape)} for a value of shape {shape_words((None, *(value.item or ())))}"
        return net.problem(
            place,
            f"slopes of shape {shown}",
            expected="one slope for each channel (shared by rows and columns)",
        )
    weight = slopes.weight((channels,), lambda s: s.reshape(-1), "slopes")
    return net.layer(place, "PReLU", [value], {}, {"slope": weight}, item=value.item)


def batch_normalisation(
    net: Network,
    place: Place,
    value: Flow,
    mean: Constant,
    variance: Constant,
    scale: Constant | None,
    shift: Constant | None,
    epsilon: float,
) -> Flow:
    """Normalise each channel (the last axis of the source; axis 1 here) by constants."""
    if value.failed:
        return value
    if not value.item:
        return net.unknown_shape(place)
    if value.rank == 2:
        # Sequences keep the source's order, and their channels are not axis 1.
        return _by_last_axis(net, place, value, mean, variance, scale, shift, epsilon)
    value = unfolded(net, place, value)
    if value.failed or not value.item:
        return value
    channels = value.item[value.order[0]]
    given = {"mean": mean, "variance": variance, "scale": scale, "shift": shift}
    constants = {name: c for name, c in given.items() if c is not None}
    for name, constant in constants.items():
        if constant.shape != (constant.count,) or channels not in (None, constant.count) or constant.kind != "float":
            shown = shape_words(constant.shape)
            return net.problem(place, f"the {name} of shape {shown}", expected=f"{channels or 'as many'} values")
    weights = {name: c.weight(c.shape, lambda values: values) for name, c in constants.items()}
    keys: dict[str, KeyValue] = {} if epsilon == 1e-5 else {"epsilon": epsilon}
    return net.layer(place, "BatchNorm", [value], keys, weights, item=value.item)


def _by_last_axis(
    net: Network,
    place: Place,
    value: Flow,
    mean: Constant,
    variance: Constant,
    scale: Constant | None,
    shift: Constant | None,
    epsilon: float,
) -> Flow:
    def factor() -> NDArray[Any]:
        wide: NDArray[Any] = np.divide(1, np.sqrt(variance.array().astype(np.float64) + epsilon))
        return wide if scale is None else np.multiply(wide, scale.array())

    def offset() -> NDArray[Any]:
        wide: NDArray[Any] = np.multiply(-factor(), mean.array())
        return wide if shift is None else np.add(wide, shift.array())

    if {c.shape for c in (mean, variance, scale, shift) if c is not None} != {mean.shape}:
        return net.problem(place, "its constants are of different shapes", expected="one value for each channel")
    factors, offsets = (Constant(place.name, mean.shape, "float", made) for made in (factor, offset))
    scaled = combine(net, Place(f"{place.name}/scaled", place.title), "prod", value, factors)
    return combine(net, place, "sum", scaled, offsets)
