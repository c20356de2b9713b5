"""Layers that work value by value, or combine values of several inputs."""

from __future__ import annotations

import math
from collections.abc import Callable

from cnnrt.layer import Array
from cnnrt_export_onnx.model_builder import LayerWriter

_UNARY = {
    "sqrt": "Sqrt",
    "reciprocal": "Reciprocal",
    "neg": "Neg",
    "sign": "Sign",
    "floor": "Floor",
    "ceil": "Ceil",
    "round": "Round",
    "erf": "Erf",
    "sin": "Sin",
    "cos": "Cos",
    "tan": "Tan",
    "asin": "Asin",
    "acos": "Acos",
    "atan": "Atan",
    "sinh": "Sinh",
    "cosh": "Cosh",
    "asinh": "Asinh",
    "acosh": "Acosh",
    "atanh": "Atanh",
}
_COMBINED = {"sum": "Sum", "mean": "Mean", "max": "Max", "min": "Min", "sub": "Sub", "div": "Div", "pow": "Pow"}


def plain(op: str) -> Callable[[LayerWriter], None]:
    """Return a rule for a layer that is one operator without attributes."""
    return lambda out: out.last(op, out.inputs)


def relu(out: LayerWriter) -> None:
    """Write a Relu, or a LeakyRelu."""
    if out.layer.negative_slope == 0:
        out.last("Relu", out.inputs)
    else:
        out.last("LeakyRelu", out.inputs, alpha=out.layer.negative_slope)


def prelu(out: LayerWriter) -> None:
    """Write a PRelu; slopes of channels get the axes that stand behind the channels."""
    slope = out.weights()["slope"]
    trailing = (1,) * (len(out.shape()) - 2) if slope.size > 1 else ()
    out.last("PRelu", [*out.inputs, out.constant("slope", slope.reshape(*slope.shape, *trailing))])


def elu(out: LayerWriter) -> None:
    """Write an Elu."""
    out.last("Elu", out.inputs, alpha=out.layer.alpha)


def selu(out: LayerWriter) -> None:
    """Write a Selu."""
    out.last("Selu", out.inputs, alpha=out.layer.alpha, gamma=out.layer.gamma)


def hard_sigmoid(out: LayerWriter) -> None:
    """Write a HardSigmoid."""
    out.last("HardSigmoid", out.inputs, alpha=out.layer.slope, beta=out.layer.offset)


def gelu(out: LayerWriter) -> None:
    """Write a Gelu."""
    out.last("Gelu", out.inputs, approximate=out.layer.approximate)


def swish(out: LayerWriter) -> None:
    """Write a product with a Sigmoid: ONNX has a Swish only since opset 24."""
    (x,) = out.inputs
    inner = x if out.layer.beta == 1 else out.step("Mul", [x, out.number("beta", out.layer.beta)])
    out.last("Mul", [x, out.step("Sigmoid", [inner])])


def tanh(out: LayerWriter) -> None:
    """Write a Tanh between its factors."""
    (x,) = out.inputs
    if out.layer.slope != 1:
        x = out.step("Mul", [x, out.number("slope", out.layer.slope)])
    if out.layer.amplitude == 1:
        out.last("Tanh", [x])
    else:
        out.last("Mul", [out.step("Tanh", [x]), out.number("amplitude", out.layer.amplitude)])


def clip(out: LayerWriter) -> None:
    """Write a Clip; a bound that is absent is an empty name."""
    bounds = [("min", out.layer.min), ("max", out.layer.max)]
    out.last("Clip", [*out.inputs, *("" if value is None else out.number(name, value) for name, value in bounds)])


def threshold(out: LayerWriter) -> None:
    """Write a choice between the input and a number."""
    (x,) = out.inputs
    above = out.step("Greater", [x, out.number("threshold", out.layer.threshold)])
    out.last("Where", [above, x, out.number("value", out.layer.value)])


def power(out: LayerWriter) -> None:
    """Write a straight line and a Pow."""
    line = _line(out)
    if out.layer.power == 1:
        out.last("Identity", [line])
    else:
        out.last("Pow", [line, out.number("power", out.layer.power)])


def exponential(out: LayerWriter) -> None:
    """Write an Exp of a straight line, times the logarithm of the base."""
    line = _line(out)
    if out.layer.base != -1:
        line = out.step("Mul", [line, out.number("log_base", math.log(out.layer.base))])
    out.last("Exp", [line])


def logarithm(out: LayerWriter) -> None:
    """Write a Log of a straight line, divided by that of the base."""
    line = _line(out)
    if out.layer.base == -1:
        out.last("Log", [line])
    else:
        out.last("Div", [out.step("Log", [line]), out.number("log_base", math.log(out.layer.base))])


def unary(out: LayerWriter) -> None:
    """Write the operator of the function."""
    (x,) = out.inputs
    if out.layer.operation == "square":
        out.last("Mul", [x, x])
    else:
        out.last(_UNARY[out.layer.operation], [x])


def eltwise(out: LayerWriter) -> None:
    """Write the operator that combines; factors of a sum come before it, products go on one after the other."""
    values = list(out.inputs)
    for number, factor in enumerate(out.layer.coeff):
        if factor != 1:
            values[number] = out.step("Mul", [values[number], out.number(f"coeff{number + 1}", factor)])
    if out.layer.operation != "prod":
        out.last(_COMBINED[out.layer.operation], values)
        return
    product = values[0]
    for value in values[1:-1]:
        product = out.step("Mul", [product, value])
    if len(values) > 1:
        out.last("Mul", [product, values[-1]])
    else:
        out.last("Identity", [product])


def scale(out: LayerWriter) -> None:
    """Write a Mul, an Add, or both, with factors that stand along the right axes."""
    weights = dict(out.weights())
    value = out.inputs[0]
    rank = len(out.shape())
    axis = out.layer.axis % rank

    def along(values: Array) -> Array:
        shape = () if values.size == 1 else (*values.shape, *(1,) * (rank - axis - values.ndim))
        return values.reshape(shape)

    factors = None
    if len(out.inputs) == 2:
        behind = rank - axis - len(out.shape(1))
        factors = out.inputs[1]
        if behind > 0 and any(n != 1 for n in out.shape(1)):
            factors = out.reshaped(factors, [*out.flexible(factors), *[1] * behind], "factors")
    elif "scale" in weights:
        factors = out.constant("scale", along(weights["scale"]))
    bias = out.constant("bias", along(weights["bias"])) if "bias" in weights else None
    if factors is not None and bias is not None:
        value = out.step("Mul", [value, factors])
        factors = None
    out.last("Add" if bias is not None else "Mul", [value, bias if bias is not None else str(factors)])


def _line(out: LayerWriter) -> str:
    (x,) = out.inputs
    if out.layer.scale != 1:
        x = out.step("Mul", [x, out.number("scale", out.layer.scale)])
    if out.layer.shift != 0:
        x = out.step("Add", [x, out.number("shift", out.layer.shift)])
    return x
