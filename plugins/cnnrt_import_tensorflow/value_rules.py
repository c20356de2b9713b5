"""Arithmetic, activations, normalisation and products with matrices."""

from __future__ import annotations

from collections.abc import Sequence

from cnnrt.channels_last import operands
from cnnrt.channels_last.activations import activation, batch_normalisation, leaky_relu
from cnnrt.channels_last.arithmetic import combine
from cnnrt.channels_last.constants import Constant
from cnnrt.channels_last.dense import dense
from cnnrt.channels_last.graph_rules import Context, Operand, Result
from cnnrt.channels_last.regions import resize, softmax
from cnnrt.channels_last.values import FAILED
from cnnrt.channels_last.windows import Sliding, image
from cnnrt_import_tensorflow.nodes import Node
from netfile_spec import Value as KeyValue

_PAIRS = {
    "Add": "sum",
    "AddV2": "sum",
    "Sub": "sub",
    "Mul": "prod",
    "RealDiv": "div",
    "Div": "div",
    "Maximum": "max",
    "Minimum": "min",
    "FloorDiv": "quotient",
    "FloorMod": "remainder",
}
_SINGLE = {
    "Abs": "abs",
    "Exp": "exponential",
    "Log": "log",
    "Neg": "negative",
    "Rsqrt": "rsqrt",
    "Sqrt": "sqrt",
    "Square": "square",
}
_ACTIVATIONS = {
    "Elu": "elu",
    "Erf": "erf",
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
    return operands.of_two(context.net, node.place, _PAIRS[node.op], inputs[0], inputs[1])


def single(context: Context, node: Node, inputs: Sequence[Operand]) -> Result:
    """Functions of one operand; of constants they are computed here."""
    return operands.of_one(context.net, node.place, _SINGLE[node.op], inputs[0])


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
    mode = "linear" if node.op == "ResizeBilinear" else "nearest"
    align, half = node.flag("align_corners"), node.flag("half_pixel_centers")
    rows, columns = size
    return resize(context.net, node.place, value, mode, (rows, columns), align_corners=align, half_pixel=half)


def _channels_last(node: Node) -> bool:
    return node.text("data_format", "NHWC") != "NCHW"
