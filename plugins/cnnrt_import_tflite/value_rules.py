"""Arithmetic, activations, resizing: one value for each."""

from __future__ import annotations

from collections.abc import Sequence

from cnnrt.channels_last import operands
from cnnrt.channels_last.activations import activation, leaky_relu, prelu
from cnnrt.channels_last.graph_rules import Operand, Result
from cnnrt.channels_last.regions import resize, softmax
from cnnrt.channels_last.values import FAILED, Flow
from cnnrt.channels_last.windows import Sliding, image
from cnnrt_import_tflite.operands import Context, Operator, inner_place
from netfile_spec import Value as KeyValue

_PAIRS = {"ADD": "sum", "SUB": "sub", "MUL": "prod", "DIV": "div", "MAXIMUM": "max", "MINIMUM": "min"}
_SINGLE = {
    "ABS": "abs",
    "EXP": "exponential",
    "LOG": "log",
    "NEG": "negative",
    "RSQRT": "rsqrt",
    "SQRT": "sqrt",
    "SQUARE": "square",
}
_ACTIVATIONS = {
    "ELU": "elu",
    "HARD_SWISH": "hard_swish",
    "LOGISTIC": "sigmoid",
    "RELU": "relu",
    "RELU6": "relu6",
    "RELU_N1_TO_1": "relu_n1_to_1",
    "TANH": "tanh",
}
PAIRS, SINGLE, ACTIVATIONS = tuple(_PAIRS), tuple(_SINGLE), tuple(_ACTIVATIONS)


def pair(context: Context, operator: Operator, inputs: Sequence[Operand]) -> Result:
    """ADD, SUB, MUL, DIV with an activation, MAXIMUM and MINIMUM without."""
    if operator.op in ("MAXIMUM", "MINIMUM"):
        return operands.of_two(context.net, operator.place, _PAIRS[operator.op], inputs[0], inputs[1])
    place = inner_place(operator, 0)
    made = operands.of_two(context.net, place, _PAIRS[operator.op], inputs[0], inputs[1])
    return context.fused(operator, 0, made) if isinstance(made, Flow) else made


def single(context: Context, operator: Operator, inputs: Sequence[Operand]) -> Result:
    """Functions of one operand."""
    return operands.of_one(context.net, operator.place, _SINGLE[operator.op], inputs[0])


def activate(context: Context, operator: Operator, inputs: Sequence[Operand]) -> Result:
    """Activations without parameters."""
    return activation(context.net, operator.place, context.computed(operator, inputs[0]), _ACTIVATIONS[operator.op])


def gelu(context: Context, operator: Operator, inputs: Sequence[Operand]) -> Result:
    """GELU, exact or by the hyperbolic tangent."""
    kind = "gelu_tanh" if operator.flag(0) else "gelu"
    return activation(context.net, operator.place, context.computed(operator, inputs[0]), kind)


def leaky(context: Context, operator: Operator, inputs: Sequence[Operand]) -> Result:
    """LEAKY_RELU."""
    return leaky_relu(context.net, operator.place, context.computed(operator, inputs[0]), operator.number(0))


def prelu_rule(context: Context, operator: Operator, inputs: Sequence[Operand]) -> Result:
    """PRELU."""
    slopes = context.constant(operator, inputs[1], "its slopes")
    if slopes is None:
        return FAILED
    return prelu(context.net, operator.place, context.computed(operator, inputs[0]), slopes)


def probabilities(context: Context, operator: Operator, inputs: Sequence[Operand]) -> Result:
    """SOFTMAX (of `beta` times its input) and LOG_SOFTMAX, along the last axis."""
    value = context.computed(operator, inputs[0])
    if operator.op == "LOG_SOFTMAX":
        return softmax(context.net, operator.place, value, kind="LogSoftmax")
    beta = operator.number(0)
    if beta not in (0.0, 1.0):
        value = activation(context.net, operator.part("beta"), value, "negative", {"scale": beta})
    return softmax(context.net, operator.place, value)


def response_normalise(context: Context, operator: Operator, inputs: Sequence[Operand]) -> Result:
    """LOCAL_RESPONSE_NORMALIZATION: here alpha is divided by the number of channels in a window, there it is not."""
    value = image(context.net, operator.place, context.computed(operator, inputs[0]), Sliding("valid"))
    radius = operator.integer(0)
    if not 0 <= radius < 1 << 20:
        return context.net.problem(operator.place, f"radius {radius}")
    size = 2 * radius + 1
    keys: dict[str, KeyValue] = {
        "local_size": size,
        "alpha": operator.number(2) * size,
        "beta": operator.number(3),
        "k": operator.number(1),
    }
    return context.net.layer(operator.place, "LRN", [value], keys, item=value.item)


def scale_image(context: Context, operator: Operator, inputs: Sequence[Operand]) -> Result:
    """RESIZE_BILINEAR and RESIZE_NEAREST_NEIGHBOR to a known size."""
    value = context.computed(operator, inputs[0])
    size = context.numbers(operator, inputs[1], "its size")
    if size is None or value.failed:
        return FAILED
    if len(size) != 2 or min(size) < 1:
        return context.net.problem(operator.place, f"a size of {list(size)[:8]}")
    linear = operator.op == "RESIZE_BILINEAR"
    # Two fields of the bilinear operator are left over from the first version.
    align, half = (operator.flag(2), operator.flag(3)) if linear else (operator.flag(0), operator.flag(1))
    mode, (rows, columns) = "linear" if linear else "nearest", size
    return resize(context.net, operator.place, value, mode, (rows, columns), align_corners=align, half_pixel=half)
