"""Arithmetic, activations, normalisation and products with matrices."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from cnnrt.channels_last.activations import activation, batch_normalisation, leaky_relu
from cnnrt.channels_last.arithmetic import combine
from cnnrt.channels_last.constants import CannotCompute, Constant
from cnnrt.channels_last.dense import dense
from cnnrt.channels_last.regions import resize, softmax
from cnnrt.channels_last.shape_numbers import ShapeNumbers, is_scalar, numbers_of, shape_numbers
from cnnrt.channels_last.values import FAILED, Flow, Place
from cnnrt.channels_last.windows import Sliding, image
from cnnrt_import_tensorflow.nodes import Node
from cnnrt_import_tensorflow.operands import Context, Operand, Result, failed
from netfile_spec import Value as KeyValue

_PAIRS: Mapping[str, tuple[str, Callable[..., Any]]] = {
    "Add": ("sum", np.add),
    "AddV2": ("sum", np.add),
    "Sub": ("sub", np.subtract),
    "Mul": ("prod", np.multiply),
    "RealDiv": ("div", np.divide),
    "Div": ("div", np.divide),
    "Maximum": ("max", np.maximum),
    "Minimum": ("min", np.minimum),
    "FloorDiv": ("", np.floor_divide),
    "FloorMod": ("", np.mod),
}
_SINGLE: Mapping[str, tuple[str, Callable[..., Any]]] = {
    "Abs": ("abs", np.abs),
    "Exp": ("exponential", np.exp),
    "Log": ("log", np.log),
    "Neg": ("negative", np.negative),
    "Rsqrt": ("rsqrt", lambda x: 1 / np.sqrt(x)),
    "Sqrt": ("sqrt", np.sqrt),
    "Square": ("square", np.square),
}
_ACTIVATIONS = {
    "Elu": "elu",
    "Relu": "relu",
    "Relu6": "relu6",
    "Selu": "selu",
    "Sigmoid": "sigmoid",
    "Softplus": "softplus",
    "Softsign": "softsign",
    "Tanh": "tanh",
}
PAIRS, SINGLE, ACTIVATIONS = tuple(_PAIRS), tuple(_SINGLE), tuple(_ACTIVATIONS)


def pair(context: Context, node: Node, inputs: Sequence[Operand]) -> Result:
    """Arithmetic of two operands; of constants, and of sizes, it is done here."""
    first, second = inputs
    operation, function = _PAIRS[node.op]
    if failed(inputs):
        return FAILED
    if isinstance(first, Constant) and isinstance(second, Constant):
        return _computed(context, node, function, [first, second])
    if isinstance(first, ShapeNumbers) or isinstance(second, ShapeNumbers):
        return _of_sizes(context, node, function, inputs)
    if not isinstance(first, Flow | Constant) or not isinstance(second, Flow | Constant) or not operation:
        return context.net.problem(node.place, "of values that depend on the input", expected="constants")
    return combine(context.net, node.place, operation, first, second)


def single(context: Context, node: Node, inputs: Sequence[Operand]) -> Result:
    """Functions of one operand; of constants they are computed here."""
    name, function = _SINGLE[node.op]
    if isinstance(inputs[0], Constant):
        return _computed(context, node, function, [inputs[0]])
    return activation(context.net, node.place, context.computed(node, inputs[0]), name)


def power(context: Context, node: Node, inputs: Sequence[Operand]) -> Result:
    """Pow with a constant exponent, the same for all values."""
    if all(isinstance(i, Constant) for i in inputs):
        return _computed(context, node, np.power, [i for i in inputs if isinstance(i, Constant)])
    value, exponent = context.computed(node, inputs[0]), context.constant(node, inputs[1], "its exponent")
    if exponent is None or value.failed:
        return FAILED
    if exponent.count != 1:
        return context.net.problem(node.place, f"{exponent.count:,} exponents", expected="one for all values")
    keys: dict[str, KeyValue] = {"power": float(exponent.array().reshape(-1)[0])}
    return activation(context.net, node.place, value, "square", keys)


def squared_difference(context: Context, node: Node, inputs: Sequence[Operand]) -> Result:
    """SquaredDifference of constants: other graphs are in training mode."""
    if all(isinstance(i, Constant) for i in inputs):
        constants = [i for i in inputs if isinstance(i, Constant)]
        return _computed(context, node, lambda a, b: np.square(a - b), constants)
    return context.net.problem(
        node.place, "it measures the batch's variance", hint="save the model in inference mode (training=False)"
    )


def total(context: Context, node: Node, inputs: Sequence[Operand]) -> Result:
    """AddN: one sum after the other."""
    if failed(inputs):
        return FAILED
    result = inputs[0]
    for number, operand in enumerate(inputs[1:], start=2):
        if isinstance(result, Constant) and isinstance(operand, Constant):
            result = _computed(context, node, np.add, [result, operand])
        elif isinstance(result, Flow | Constant) and isinstance(operand, Flow | Constant):
            place = node.place if number == len(inputs) else Place(f"{node.name}/{number}", node.place.title)
            result = combine(context.net, place, "sum", result, operand)
        else:
            return context.net.problem(node.place, "of sizes of values", expected="values or constants")
    return result


def activate(context: Context, node: Node, inputs: Sequence[Operand]) -> Result:
    """Activations without parameters."""
    return activation(context.net, node.place, context.computed(node, inputs[0]), _ACTIVATIONS[node.op])


def leaky(context: Context, node: Node, inputs: Sequence[Operand]) -> Result:
    """LeakyRelu."""
    return leaky_relu(context.net, node.place, context.computed(node, inputs[0]), node.number("alpha", 0.2))


def add_bias(context: Context, node: Node, inputs: Sequence[Operand]) -> Result:
    """BiasAdd: one number for each channel."""
    value, bias = context.computed(node, inputs[0]), context.constant(node, inputs[1], "its bias")
    if bias is None or value.failed:
        return FAILED
    if len(bias.shape) != 1:
        return context.net.problem(
            node.place, f"a bias of {len(bias.shape)} axes", expected="one number for each channel"
        )
    if node.text("data_format", "NHWC") == "NCHW" and value.rank > 1:
        bias = bias.reshaped((*bias.shape, *[1] * (value.rank - 1)))
    return combine(context.net, node.place, "sum", value, bias)


def normalise(context: Context, node: Node, inputs: Sequence[Operand]) -> Result:
    """FusedBatchNorm in its versions, and BatchNormWithGlobalNormalization."""
    value = context.computed(node, inputs[0])
    if node.flag("is_training", node.op != "BatchNormWithGlobalNormalization"):
        hint = "save the model in inference mode (training=False)"
        return context.net.problem(node.place, "it measures the batch: is_training is set", hint=hint)
    names = ("scale", "shift", "mean", "variance")
    epsilon = node.number("epsilon", 1e-4)
    if node.op == "BatchNormWithGlobalNormalization":
        names, epsilon = ("mean", "variance", "shift", "scale"), node.number("variance_epsilon", 1e-3)
    found = {name: context.constant(node, i, f"its {name}") for name, i in zip(names, inputs[1:5], strict=True)}
    mean, variance = found["mean"], found["variance"]
    if value.failed or mean is None or variance is None or None in found.values():
        return FAILED
    scale: Constant | None = found["scale"]
    if node.op == "BatchNormWithGlobalNormalization" and not node.flag("scale_after_normalization"):
        scale = None
    value = image(context.net, node.place, value, Sliding("valid", channels_last=_channels_last(node)))
    return batch_normalisation(context.net, node.place, value, mean, variance, scale, found["shift"], epsilon)


def response_normalise(context: Context, node: Node, inputs: Sequence[Operand]) -> Result:
    """LRN: across channels; here alpha is divided by the number of channels in a window, there it is not."""
    value = image(context.net, node.place, context.computed(node, inputs[0]), Sliding("valid"))
    radius = node.integer("depth_radius", 5)
    if not 0 <= radius < 1 << 20:
        return context.net.problem(node.place, f"depth_radius {radius}")
    size = 2 * radius + 1
    keys: dict[str, KeyValue] = {
        "local_size": size,
        "alpha": node.number("alpha", 1.0) * size,
        "beta": node.number("beta", 0.5),
        "k": node.number("bias", 1.0),
    }
    return context.net.layer(node.place, "LRN", [value], keys, item=value.item)


def multiply_matrix(context: Context, node: Node, inputs: Sequence[Operand]) -> Result:
    """MatMul, and BatchMatMul with a constant on the right."""
    value, matrix = context.computed(node, inputs[0]), context.constant(node, inputs[1], "its matrix")
    if matrix is None or value.failed:
        return FAILED
    if node.flag("transpose_a") or node.flag("adj_x"):
        return context.net.problem(node.place, "transpose_a, which mixes the images of a batch")
    transposed = node.flag("transpose_b") or node.flag("adj_y")
    return dense(context.net, node.place, value, matrix, rows_are_outputs=transposed)


def probabilities(context: Context, node: Node, inputs: Sequence[Operand]) -> Result:
    """Softmax and LogSoftmax, along the last axis."""
    return softmax(context.net, node.place, context.computed(node, inputs[0]), kind=node.op)


def scale_image(context: Context, node: Node, inputs: Sequence[Operand]) -> Result:
    """ResizeBilinear and ResizeNearestNeighbor to a known size."""
    value = context.computed(node, inputs[0])
    size = context.numbers(node, inputs[1], "its size")
    if size is None or value.failed:
        return FAILED
    if len(size) != 2 or min(size) < 1:
        return context.net.problem(node.place, f"a size of {list(size)}")
    keys: dict[str, KeyValue] = {"mode": "linear" if node.op == "ResizeBilinear" else "nearest", "size": size}
    keys |= resize_alignment(align_corners=node.flag("align_corners"), half_pixel=node.flag("half_pixel_centers"))
    return resize(context.net, node.place, value, keys)


def resize_alignment(*, align_corners: bool, half_pixel: bool) -> dict[str, KeyValue]:
    """Return the keys of a Resize layer for TensorFlow's three ways to lay pixels."""
    return {"coordinates": "align_corners" if align_corners else "half_pixel" if half_pixel else "asymmetric"}


def _channels_last(node: Node) -> bool:
    return node.text("data_format", "NHWC") != "NCHW"


def _computed(context: Context, node: Node, function: Callable[..., Any], constants: list[Constant]) -> Operand:
    try:
        return context.net.arithmetic.apply(node.name, function, constants)
    except CannotCompute as error:
        return context.net.problem(node.place, str(error))


def _of_sizes(context: Context, node: Node, function: Callable[..., Any], inputs: Sequence[Operand]) -> Operand:
    """Return arithmetic with sizes: what the batch is a part of is unknown, as the batch itself is."""
    first, second = (numbers_of(i) for i in inputs)
    if not first or not second or 1 < len(first) != len(second) > 1:
        return context.net.problem(node.place, "of sizes and other values", expected="sizes of values and constants")
    count = max(len(first), len(second))
    first, second = (n * (count if len(n) == 1 else 1) for n in (first, second))
    if node.op.startswith("Floor") and 0 in second:
        return context.net.problem(node.place, "it divides a size by 0")
    values = [None if a is None or b is None else int(function(a, b)) for a, b in zip(first, second, strict=True)]
    return shape_numbers(values, scalar=all(is_scalar(i) for i in inputs))
