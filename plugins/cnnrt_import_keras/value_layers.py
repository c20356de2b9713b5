"""Activations, normalisation, dense layers, and layers that do nothing in inference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cnnrt.channels_last.activations import ACTIVATIONS, activation, batch_normalisation, leaky_relu, prelu
from cnnrt.channels_last.arithmetic import combine, limits, value_by_value
from cnnrt.channels_last.axis_order import in_order, in_source_order
from cnnrt.channels_last.constants import Constant, constant_of
from cnnrt.channels_last.dense import dense
from cnnrt.channels_last.network import Network
from cnnrt.channels_last.regions import softmax
from cnnrt.channels_last.values import FAILED, Flow, Place, shape_words
from cnnrt_import_keras.keras_layer import KerasLayer
from netfile_spec import Value as KeyValue
from netfile_spec.problems import nearest

_OTHER_NAMES = {"silu": "swish", "hard_silu": "hard_swish", "ReLU": "relu", "Softmax": "softmax"}
_KNOWN = (*ACTIVATIONS, "hard_sigmoid", "leaky_relu", "linear", "log_softmax", "softmax", "silu", "hard_silu")
_NUMBERS = ("sqrt", "rsqrt", "square", "negative", "abs", "log", "gelu_tanh", "relu_n1_to_1")


def dense_layer(net: Network, layer: KerasLayer, inputs: Sequence[Flow]) -> Flow:
    """Dense, along the last axis."""
    weights = layer.weights(("kernel", "bias") if layer.flag("use_bias", True) else ("kernel",))
    if weights is None:
        return FAILED
    place = inner_place(layer)
    product = layer.part("product") if "bias" in weights else place
    made = dense(net, product, inputs[0], weights["kernel"], rows_are_outputs=False)
    if "bias" in weights:
        made = combine(net, place, "sum", made, weights["bias"]) if not made.failed else made
    return activated(net, layer, made)


def inner_place(layer: KerasLayer) -> Place:
    """Return the place of what a layer computes before its activation, if it has one."""
    return layer.place if _activation_of(layer) in ("linear", "") else layer.part("linear")


def activated(net: Network, layer: KerasLayer, value: Flow) -> Flow:
    """Apply a layer's own activation."""
    name = _activation_of(layer)
    return value if name in ("linear", "") else by_name(net, layer, value, name)


def _activation_of(layer: KerasLayer) -> str:
    """Return the name of a layer's activation: text, or an object of Keras 2 and 3 that names a class or function."""
    value = layer.get("activation", "linear")
    if value is None:
        return "linear"
    if isinstance(value, dict):
        inner = value.get("config")
        value = inner if isinstance(inner, str) else value.get("class_name", "")
    return value if isinstance(value, str) else str(value)


def by_name(net: Network, layer: KerasLayer, value: Flow, name: str) -> Flow:
    """Apply an activation that is called by its name."""
    name = _OTHER_NAMES.get(name, name)
    axis = -1 if layer.channels_last or value.rank < 2 else 1
    match name:
        case "linear":
            return net.same(layer.place, value)
        case "softmax":
            return softmax(net, layer.place, value, axis)
        case "log_softmax":
            return softmax(net, layer.place, value, axis, kind="LogSoftmax")
        case "hard_sigmoid":
            # Keras 3 made it the slope of ReLU6(x + 3) / 6.
            keys: dict[str, KeyValue] = {"slope": 1 / 6} if layer.version >= (3, 0) else {}
            return value_by_value(net, layer.place, value, "HardSigmoid", keys)
        case "leaky_relu":
            return leaky_relu(net, layer.place, value, 0.2)
    if name in ACTIVATIONS and name not in _NUMBERS:
        return activation(net, layer.place, value, name)
    return net.problem(layer.place, f"the activation {name!r:.60}", hint=nearest(name[:60], _KNOWN))


def activation_layer(net: Network, layer: KerasLayer, inputs: Sequence[Flow]) -> Flow:
    """Activation."""
    return by_name(net, layer, inputs[0], _activation_of(layer))


def relu(net: Network, layer: KerasLayer, inputs: Sequence[Flow]) -> Flow:
    """ReLU with its three settings."""
    slope, most = layer.number("negative_slope", 0.0), layer.get("max_value")
    if layer.number("threshold", 0.0) != 0 or (slope and most is not None):
        return net.problem(
            layer.place, "a threshold, or a slope and a largest value", expected="one of max_value, slope"
        )
    if most is not None:
        return limits(net, layer.place, inputs[0], 0.0, layer.number("max_value", 6.0))
    return leaky_relu(net, layer.place, inputs[0], slope)


def leaky(net: Network, layer: KerasLayer, inputs: Sequence[Flow]) -> Flow:
    """LeakyReLU."""
    name = "negative_slope" if "negative_slope" in layer.settings else "alpha"
    return leaky_relu(net, layer.place, inputs[0], layer.number(name, 0.3))


def elu(net: Network, layer: KerasLayer, inputs: Sequence[Flow]) -> Flow:
    """ELU."""
    alpha = layer.number("alpha", 1.0)
    return value_by_value(net, layer.place, inputs[0], "ELU", {} if alpha == 1 else {"alpha": alpha})


def thresholded(net: Network, layer: KerasLayer, inputs: Sequence[Flow]) -> Flow:
    """ThresholdedReLU."""
    return value_by_value(net, layer.place, inputs[0], "Threshold", {"threshold": layer.number("theta", 1.0)})


def prelu_layer(net: Network, layer: KerasLayer, inputs: Sequence[Flow]) -> Flow:
    """PReLU, with slopes shared by rows and columns."""
    weights = layer.weights(("alpha",))
    if weights is None:
        return FAILED
    slopes = weights["alpha"]
    if not layer.channels_last and len(slopes.shape) == 3 and slopes.shape[1:] == (1, 1):
        slopes = slopes.reshaped(slopes.shape[:1])
    return prelu(net, layer.place, inputs[0], slopes)


def softmax_layer(net: Network, layer: KerasLayer, inputs: Sequence[Flow]) -> Flow:
    """Softmax along an axis."""
    axes = layer.integers("axis") if layer.get("axis") is not None else (-1,)
    if len(axes) != 1:
        return net.problem(layer.place, f"axes {list(axes)[:8]}", expected="one axis")
    return softmax(net, layer.place, inputs[0], axes[0])


def normalise_batch(net: Network, layer: KerasLayer, inputs: Sequence[Flow]) -> Flow:
    """BatchNormalization of the channels."""
    value = inputs[0]
    # Keras 1 knew other modes, which measure the batch or each feature.
    if layer.integer("mode", 0) != 0:
        return net.problem(layer.place, f"mode {layer.integer('mode', 0)}", expected="mode 0")
    roles = [r for r, there in (("gamma", layer.flag("scale", True)), ("beta", layer.flag("center", True))) if there]
    weights = layer.weights((*roles, "moving mean", "moving variance"))
    if weights is None or value.failed or not value.item:
        return FAILED
    axes = layer.integers("axis") if layer.get("axis") is not None else (-1,)
    own = net.axis(layer.place, axes[0], value) if len(axes) == 1 else None
    if own is None:
        return FAILED
    channel = value.order[0] if value.rank != 2 else value.rank - 1
    if own != channel:
        shown = shape_words((None, *value.item))
        return net.problem(layer.place, f"axis {axes[0]} of a value of shape {shown}", expected="the channels")
    epsilon = layer.number("epsilon", 1e-3)
    mean, variance = weights["moving mean"], weights["moving variance"]
    return batch_normalisation(
        net, layer.place, value, mean, variance, weights.get("gamma"), weights.get("beta"), epsilon
    )


def normalise_items(net: Network, layer: KerasLayer, inputs: Sequence[Flow]) -> Flow:
    """LayerNormalization along the last axis, whose values a NetFile's LayerNorm has last as well."""
    roles = [r for r, there in (("gamma", layer.flag("scale", True)), ("beta", layer.flag("center", True))) if there]
    weights = layer.weights(roles)
    axes = layer.integers("axis") if layer.get("axis") is not None else (-1,)
    value = inputs[0]
    if weights is None or value.failed or not value.item:
        return FAILED
    if layer.flag("rms_scaling", False) or axes not in ((-1,), (value.rank,)):
        return net.problem(layer.place, f"axes {list(axes)[:8]}", expected="the last axis")
    order = value.order
    value = in_source_order(net, layer.place, value)
    names = {"gamma": "scale", "beta": "bias"}
    made = {names[r]: c.weight(c.shape, lambda values: values) for r, c in weights.items()}
    keys: dict[str, KeyValue] = {"axis": -1, "epsilon": layer.number("epsilon", 1e-3)}
    place = layer.place if value.order == order else layer.part("last")
    normal = net.layer(place, "LayerNorm", [value], keys, made, item=value.item)
    return net.same(layer.place, in_order(net, layer.place, normal, order)) if place != layer.place else normal


def scale_channels(net: Network, layer: KerasLayer, inputs: Sequence[Flow]) -> Flow:
    """LayerScale of keras.applications' ConvNeXt: a factor for each channel."""
    weights = layer.weights(("gamma",))
    return FAILED if weights is None else combine(net, layer.place, "prod", inputs[0], weights["gamma"])


def rescale(net: Network, layer: KerasLayer, inputs: Sequence[Flow]) -> Flow:
    """Rescaling: by a factor and an offset for all values, or for each channel."""
    value = inputs[0]
    for place, operation, name, neutral in (
        (layer.part("scaled"), "prod", "scale", 1.0),
        (layer.place, "sum", "offset", 0.0),
    ):
        numbers = _numbers(layer, name, neutral)
        if numbers is None or value.failed:
            return FAILED
        value = combine(net, place, operation, value, numbers)
    return value


def normalise(net: Network, layer: KerasLayer, inputs: Sequence[Flow]) -> Flow:
    """Normalization by a mean and a variance, stated or measured; Keras adds nothing to the variance."""
    value = inputs[0]
    stored = {c.name.rpartition("/")[2].partition(":")[0]: c for c in layer.stored}
    stated = layer.get("mean") is not None
    mean = _numbers(layer, "mean", 0.0) if stated else stored.get("mean") or (layer.stored[0] if layer.stored else None)
    variance = (
        _numbers(layer, "variance", 1.0)
        if stated
        else stored.get("variance") or (layer.stored[1] if len(layer.stored) > 1 else None)
    )
    if mean is None or variance is None or value.failed:
        return FAILED if value.failed else net.problem(layer.place, "no mean and variance are stored or stated")
    if layer.flag("invert", False):
        return net.problem(layer.place, "invert is set", expected="a mean that is subtracted")
    deviation = Constant(
        variance.name,
        variance.shape,
        "float",
        lambda: np.maximum(np.sqrt(variance.array().astype(np.float64)), 1e-7),  # Keras's backend.epsilon()
    )
    centred = combine(net, layer.part("centred"), "sub", value, mean)
    return combine(net, layer.place, "div", centred, deviation) if not centred.failed else centred


def _numbers(layer: KerasLayer, name: str, default: float) -> Constant | None:
    """Return a setting that is a number or nested lists of numbers as a constant."""
    value: Any = layer.get(name, default)
    if isinstance(value, dict) and isinstance(value.get("config"), dict):
        value = value["config"].get("value", default)
    try:
        array = np.array(value, np.float64)
    except (TypeError, ValueError, OverflowError):
        array = np.zeros((0,))
    if not array.size or array.size > 1 << 20 or array.ndim > 4:
        layer.findings.problem(f"{layer.place.title}: {name} is {str(value)[:60]!r}", expected="numbers")
        return None
    return constant_of(array, layer.name)


def nothing(net: Network, layer: KerasLayer, inputs: Sequence[Flow]) -> Flow:
    """Dropout and other layers of training."""
    return net.same(layer.place, inputs[0])
