"""Operators that compute each value by itself: activations and functions. Softmax and LogSoftmax as well."""

from __future__ import annotations

from cnnrt.findings import Findings
from cnnrt_import_onnx.nodes import OnnxNode, shortest
from cnnrt_import_onnx.normalisation_rules import item_of
from cnnrt_import_onnx.operands import axis_of, known_shape, scalar_in, value_of
from cnnrt_import_onnx.tensors import Tensor
from cnnrt_import_onnx.values import Inputs, Made, Operand, weight_of
from netfile_spec import Value as KeyValue

Keys = dict[str, KeyValue]

# ONNX's operator: the layer, its keys with the attributes that state them, and the defaults of both.
_WITH_NUMBERS: dict[str, tuple[str, dict[str, tuple[str, float, float]]]] = {
    "Elu": ("ELU", {"alpha": ("alpha", 1.0, 1.0)}),
    "HardSigmoid": ("HardSigmoid", {"slope": ("alpha", 0.2, 0.2), "offset": ("beta", 0.5, 0.5)}),
    "LeakyRelu": ("ReLU", {"negative_slope": ("alpha", 0.01, 0.0)}),
    "Selu": (
        "SELU",
        {
            "alpha": ("alpha", 1.6732631921768188, 1.6732631921768188),
            "gamma": ("gamma", 1.0507010221481323, 1.0507010221481323),
        },
    ),
    "Swish": ("Swish", {"beta": ("alpha", 1.0, 1.0)}),
    "ThresholdedRelu": ("Threshold", {"threshold": ("alpha", 1.0, 0.0)}),
}
_PLAIN = {
    "Abs": "AbsVal",
    "Exp": "Exp",
    "HardSwish": "HardSwish",
    "Log": "Log",
    "Relu": "ReLU",
    "Sigmoid": "Sigmoid",
    "Softplus": "Softplus",
    "Softsign": "Softsign",
    "Tanh": "TanH",
}
_FUNCTIONS = {
    "Acos": "acos",
    "Acosh": "acosh",
    "Asin": "asin",
    "Asinh": "asinh",
    "Atan": "atan",
    "Atanh": "atanh",
    "Ceil": "ceil",
    "Cos": "cos",
    "Cosh": "cosh",
    "Erf": "erf",
    "Floor": "floor",
    "Neg": "neg",
    "Reciprocal": "reciprocal",
    "Round": "round",
    "Sign": "sign",
    "Sin": "sin",
    "Sinh": "sinh",
    "Sqrt": "sqrt",
    "Tan": "tan",
}
FUNCTIONS = (*_PLAIN, *_FUNCTIONS)
"""Operators of one input and no attributes."""

ACTIVATIONS = {op: tuple(attribute for attribute, _, _ in keys.values()) for op, (_, keys) in _WITH_NUMBERS.items()}
"""Operators of one input, with the attributes of each."""


def function(node: OnnxNode, inputs: Inputs, findings: Findings) -> Made | None:
    """Relu, Tanh, Sqrt and others without attributes."""
    value = value_of(node, inputs[0], findings)
    if value is None:
        return None
    if node.op in _PLAIN:
        return Made(_PLAIN[node.op], (value,), item=item_of(value))
    return Made("Unary", (value,), {"operation": _FUNCTIONS[node.op]}, item=item_of(value))


def activation(node: OnnxNode, inputs: Inputs, findings: Findings) -> Made | None:
    """LeakyRelu, Elu and others with numbers as attributes."""
    value = value_of(node, inputs[0], findings)
    layer, stated = _WITH_NUMBERS[node.op]
    keys: Keys = {}
    for key, (attribute, default, own) in stated.items():
        number = node.number(attribute, default, findings)
        if number not in (own, shortest(own)):
            keys[key] = number
    return None if value is None else Made(layer, (value,), keys, item=item_of(value))


def celu(node: OnnxNode, inputs: Inputs, findings: Findings) -> Made | None:
    """Celu: an Elu whose exponential is as steep as the line at 0: alpha * Elu(x / alpha)."""
    value = value_of(node, inputs[0], findings)
    alpha = node.number("alpha", 1.0, findings)
    if value is None:
        return None
    if alpha == 1:
        return Made("ELU", (value,), item=item_of(value))
    if not alpha:
        findings.problem(f"{node.title}: alpha 0", expected="another number")
        return None
    curve = Made("ELU", (Made("Power", (value,), {"scale": 1 / alpha}),))
    return Made("Power", (curve,), {"scale": alpha}, item=item_of(value))


def mish(node: OnnxNode, inputs: Inputs, findings: Findings) -> Made | None:
    """Mish: x * tanh(softplus(x))."""
    value = value_of(node, inputs[0], findings)
    if value is None:
        return None
    factor = Made("TanH", (Made("Softplus", (value,)),))
    return Made("Eltwise", (value, factor), {"operation": "prod"}, item=item_of(value))


def gelu(node: OnnxNode, inputs: Inputs, findings: Findings) -> Made | None:
    """Gelu, exact or approximated by a hyperbolic tangent."""
    value = value_of(node, inputs[0], findings)
    mode = node.text("approximate", "none", findings)
    if mode not in ("none", "tanh"):
        findings.problem(f"{node.title}: approximate {mode!r:.40}", expected="none or tanh")
        return None
    keys: Keys = {} if mode == "none" else {"approximate": mode}
    return None if value is None else Made("GELU", (value,), keys, item=item_of(value))


def shrink(node: OnnxNode, inputs: Inputs, findings: Findings) -> Made | None:
    """Shrink: what is beyond lambd comes nearer by bias, all between becomes 0."""
    value = value_of(node, inputs[0], findings)
    limit, bias = node.number("lambd", 0.5, findings), node.number("bias", 0.0, findings)
    if value is None:
        return None
    # Each side by itself: above the limit, and below it with the sign turned around.
    above = Made("Threshold", (value,), {"threshold": limit, "value": bias})
    turned = Made("Unary", (value,), {"operation": "neg"})
    below = Made("Threshold", (turned,), {"threshold": limit, "value": bias})
    return Made("Eltwise", (above, below), {"operation": "sub"}, item=item_of(value))


def prelu(node: OnnxNode, inputs: Inputs, findings: Findings) -> Made | None:
    """PRelu: one slope for each channel, or slopes that are repeated along other axes."""
    value, slope = value_of(node, inputs[0], findings), value_of(node, inputs[1], findings)
    if value is None or slope is None:
        return None
    if isinstance(slope, Tensor):
        if node.opset < 7 and slope.rank == 1 and value.shape is not None and len(value.shape) > 2:
            # At that time one slope for each channel was just a list of them.
            slope = slope.reshaped((slope.count, *(1,) * (len(value.shape) - 2)))
        if slope.count == 1 and (value.shape is None or len(value.shape) > 1):
            return Made("PReLU", (value,), {}, {"slope": weight_of(slope.reshaped((1,)))}, item_of(value))
        if value.shape is not None and (channels := per_channel(slope, value.shape)) is not None:
            return Made("PReLU", (value,), {}, {"slope": weight_of(channels)}, item_of(value))
    positive = Made("ReLU", (value,))
    negative = Made("Eltwise", (slope, Made("Clip", (value,), {"max": 0.0})), {"operation": "prod"})
    return Made("Eltwise", (positive, negative), item=item_of(value))


def per_channel(tensor: Tensor, shape: tuple[int | None, ...]) -> Tensor | None:
    """Return a constant that is repeated along all axes of `shape` but the channels (axis 1) as a list of them."""
    rank = len(shape)
    whole = (1,) * (rank - tensor.rank) + tensor.shape
    if rank < 2 or len(whole) != rank or shape[1] is None or whole[1] != shape[1] or tensor.count != shape[1]:
        return None
    return tensor.reshaped((tensor.count,))


def clip(node: OnnxNode, inputs: Inputs, findings: Findings) -> Made | None:
    """Clip: bounds are attributes before operator set 11 and inputs since; where they cross, the upper one wins."""
    value = value_of(node, inputs[0], findings)
    bounds: dict[str, float] = {}
    for key, given in (("min", inputs[1]), ("max", inputs[2])):
        if given is not None:
            number = scalar_in(node, given, key, findings)
            if number is None:
                return None
            bounds[key] = number
        elif key in node.attributes:
            bounds[key] = node.number(key, 0.0, findings)
    if value is None:
        return None
    keys: Keys = {key: number for key, number in bounds.items() if abs(number) < _LARGEST}
    if len(keys) == 2 and bounds["min"] > bounds["max"]:
        lower = Made("Clip", (value,), {"min": keys["min"]})
        return Made("Clip", (lower,), {"max": keys["max"]}, item=item_of(value))
    return Made("Clip", (value,), keys, item=item_of(value))


_LARGEST = 3.4028234e38
"""What exporters write for no bound: the largest float32, or infinity."""


def softmax(node: OnnxNode, inputs: Inputs, findings: Findings) -> Made | None:
    """Softmax and LogSoftmax. Before operator set 13 all dimensions from `axis` on count as one; since, only `axis`."""
    value = value_of(node, inputs[0], findings)
    if value is None:
        return None
    flattens = node.opset < 13
    axis = node.integer("axis", 1 if flattens else -1, findings)
    if value.shape is None and not flattens and axis > 0:
        return Made(node.op, (value,), {} if axis == 1 else {"axis": axis})
    resolved = axis_of(node, axis, value, findings)
    shape = known_shape(node, value, findings)
    if resolved is None or shape is None:
        return None
    if flattens:
        joined = [i for i, n in enumerate(shape) if i >= resolved and n != 1] or [resolved]
        if len(joined) > 1:
            return _joined_softmax(node, value, resolved, shape)
        resolved = joined[0]
    return Made(node.op, (value,), {} if resolved == 1 else {"axis": resolved}, item=item_of(value))


def _joined_softmax(node: OnnxNode, value: Operand, axis: int, shape: tuple[int | None, ...]) -> Made:
    """Take all dimensions from `axis` on as one, and apart again; of them one may be unknown."""
    joined = Made("Reshape", (value,), {"shape": -1, "axis": axis})
    behind = tuple(-1 if n is None else n for n in shape[axis:])
    keys: Keys = {} if axis == 1 else {"axis": axis}
    return Made("Reshape", (Made(node.op, (joined,), keys),), {"shape": behind, "axis": axis}, item=item_of(value))
