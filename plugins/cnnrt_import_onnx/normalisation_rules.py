"""Operators that normalise: BatchNormalization, LRN, Instance-, Layer- and GroupNormalization, LpNormalization."""

from __future__ import annotations

import math

from cnnrt.findings import Findings
from cnnrt_import_onnx.nodes import OnnxNode
from cnnrt_import_onnx.operands import axes_of, axis_of, constant, known_shape, known_sizes, value_of
from cnnrt_import_onnx.tensors import Sizes, Tensor, shape_words
from cnnrt_import_onnx.values import Inputs, Made, Operand, Several, Weight, weight_of
from netfile_spec import Value as KeyValue


def batch_normalisation(node: OnnxNode, inputs: Inputs, findings: Findings) -> Made | None:
    """BatchNormalization as in inference."""
    value = value_of(node, inputs[0], findings)
    if node.integer("training_mode", 0, findings):
        findings.problem(f"{node.title}: training_mode 1", hint="export the model in inference mode (eval)")
        return None
    if node.opset < 7 and not node.integer("is_test", 0, findings):
        findings.problem(f"{node.title}: is_test 0", hint="export the model in inference mode (eval)")
        return None
    if not node.integer("spatial", 1, findings):
        findings.problem(f"{node.title}: spatial 0, which normalises each pixel by itself", expected="spatial 1")
        return None
    names = ("scale", "shift", "mean", "variance")
    weights = _per_channel(node, value, dict(zip(names, inputs[1:5], strict=True)), findings)
    if value is None or weights is None:
        return None
    in_order = {name: weights[name] for name in ("mean", "variance", "scale", "shift")}
    return Made("BatchNorm", (value,), _epsilon(node, 1e-5, findings), in_order, item_of(value))


def lrn(node: OnnxNode, inputs: Inputs, findings: Findings) -> Made | None:
    """LRN: across channels, with alpha divided by the size, as in Caffe."""
    value = value_of(node, inputs[0], findings)
    size = node.integer("size", None, findings)
    if size % 2 == 0 or not 0 < size < 2**31:
        if "size" in node.attributes:
            findings.problem(f"{node.title}: size {size}", expected="an odd number of channels")
        return None
    keys: dict[str, KeyValue] = {} if size == 5 else {"local_size": size}
    # cnnrt's key, ONNX's attribute, and the default of each.
    for key, default, attribute, usual in (
        ("alpha", 1, "alpha", 1e-4),
        ("beta", 0.75, "beta", 0.75),
        ("k", 1, "bias", 1),
    ):
        number = node.number(attribute, usual, findings)
        if number != default:
            keys[key] = number
    return None if value is None else Made("LRN", (value,), keys, item=item_of(value))


def instance_normalisation(node: OnnxNode, inputs: Inputs, findings: Findings) -> Made | None:
    """InstanceNormalization: each channel of each image by itself."""
    value = value_of(node, inputs[0], findings)
    weights = _per_channel(node, value, {"scale": inputs[1], "bias": inputs[2]}, findings)
    if value is None or weights is None:
        return None
    return Made("InstanceNorm", (value,), _epsilon(node, 1e-5, findings), weights, item_of(value))


def group_normalisation(node: OnnxNode, inputs: Inputs, findings: Findings) -> Made | None:
    """GroupNormalization; since operator set 21 with a factor for each channel, before with one for each group."""
    value = value_of(node, inputs[0], findings)
    groups = node.integer("num_groups", None, findings)
    shape = None if value is None else known_shape(node, value, findings)
    if value is None or shape is None or len(shape) < 2 or shape[1] is None or groups < 1 or shape[1] % groups:
        if shape is not None and "num_groups" in node.attributes:
            findings.problem(f"{node.title}: {groups} groups of the channels of {shape_words(shape)}")
        return None
    terms: dict[str, Weight] = {}
    for name, given in (("scale", inputs[1]), ("bias", inputs[2])):
        tensor = constant(node, given, f"the {name}", findings)
        if tensor is None:
            return None
        if node.opset < 21 and tensor.shape == (groups,):
            tensor = _repeated(tensor, shape[1] // groups)
        if tensor.shape != (shape[1],):
            shown = shape_words(tensor.shape)
            findings.problem(f"{node.title}: the {name} of shape {shown}", expected=f"{shape[1]} values")
            return None
        terms[name] = weight_of(tensor)
    keys: dict[str, KeyValue] = {"group": groups, **_epsilon(node, 1e-5, findings)}
    return Made("GroupNorm", (value,), keys, terms, item_of(value))


def layer_normalisation(node: OnnxNode, inputs: Inputs, findings: Findings) -> Made | Several | None:
    """LayerNormalization over all dimensions from `axis` on."""
    value = value_of(node, inputs[0], findings)
    axis = None if value is None else axis_of(node, node.integer("axis", -1, findings), value, findings)
    sizes = None if value is None or axis is None else known_sizes(node, value, findings)
    if value is None or axis is None or sizes is None:
        return None
    normalised, rank = sizes[axis - value.free :], len(sizes) + value.free
    weights: dict[str, Weight] = {}
    for name, given in (("scale", inputs[1]), ("bias", inputs[2])):
        if given is None and name == "bias":
            continue
        tensor = constant(node, given, f"the {name}", findings)
        if tensor is None:
            return None
        if tensor.count != math.prod(normalised):
            shown = shape_words(tensor.shape)
            findings.problem(f"{node.title}: the {name} of shape {shown}", expected=shape_words(normalised))
            return None
        weights[name] = weight_of(tensor.reshaped(normalised))
    keys: dict[str, KeyValue] = {"axis": axis, **_epsilon(node, 1e-5, findings)}
    made = Made("LayerNorm", (value,), keys, weights, item_of(value))
    if not any(node.outputs[1:]):
        return made
    # Mean and 1 / deviation, which training needs, have layers of their own where somebody asks for them.
    over: dict[str, KeyValue] = {"operation": "mean", "axes": tuple(range(axis, rank)), "keepdims": True}
    mean = Made("Reduction", (value,), over)
    squares = Made("Unary", (Made("Eltwise", (value, mean), {"operation": "sub"}),), {"operation": "square"})
    variance = Made("Reduction", (squares,), over)
    inverse = Made("Power", (variance,), {"power": -0.5, "shift": node.number("epsilon", 1e-5, findings)})
    parts = zip(node.outputs, (made, mean, inverse), strict=False)
    return Several(tuple(part if name else None for name, part in parts))


def mean_variance_normalisation(node: OnnxNode, inputs: Inputs, findings: Findings) -> Made | None:
    """MeanVarianceNormalization: over the axes that it states, by default batch, rows and columns."""
    value = value_of(node, inputs[0], findings)
    stated = node.integers("axes", (0, 2, 3), findings, count=None)
    axes = None if value is None else axes_of(node, stated, value, findings)
    if value is None or axes is None:
        return None
    mean = Made("Reduction", (value,), {"operation": "mean", "axes": axes, "keepdims": True})
    centred = Made("Eltwise", (value, mean), {"operation": "sub"})
    squares = Made("Unary", (centred,), {"operation": "square"})
    variance = Made("Reduction", (squares,), {"operation": "mean", "axes": axes, "keepdims": True})
    deviation = Made("Unary", (variance,), {"operation": "sqrt"})
    return Made("Eltwise", (centred, Made("Power", (deviation,), {"shift": 1e-9})), {"operation": "div"})


def lp_normalisation(node: OnnxNode, inputs: Inputs, findings: Findings) -> Made | None:
    """LpNormalization: by the sum of magnitudes or the root of the sum of squares along one axis; 0 stays 0."""
    value = value_of(node, inputs[0], findings)
    axis = None if value is None else axis_of(node, node.integer("axis", -1, findings), value, findings)
    order = node.integer("p", 2, findings)
    if order not in (1, 2):
        findings.problem(f"{node.title}: p {order}", expected="1 or 2")
        return None
    if value is None or axis is None:
        return None
    norm = Made("Reduction", (value,), {"operation": f"l{order}", "axes": (axis,), "keepdims": True})
    # Where a norm is 0 all its values are, and so is their quotient by anything else.
    divisor = Made("Clip", (norm,), {"min": 1e-37})
    return Made("Eltwise", (value, divisor), {"operation": "div"}, item=item_of(value))


def item_of(value: Operand) -> Sizes | None:
    """Return the shape of one item of a value, as far as it is known."""
    return value.shape[1:] if value.shape else None


def _epsilon(node: OnnxNode, default: float, findings: Findings) -> dict[str, KeyValue]:
    epsilon = node.number("epsilon", default, findings)
    return {} if epsilon == default else {"epsilon": epsilon}


def _per_channel(
    node: OnnxNode, value: Operand | None, given: dict[str, Operand | None], findings: Findings
) -> dict[str, Weight] | None:
    """Return weights with one value for each channel of the input (axis 1)."""
    weights: dict[str, Weight] = {}
    channels = value.shape[1] if value is not None and value.shape is not None and len(value.shape) > 1 else None
    for name, operand in given.items():
        tensor = constant(node, operand, f"the {name}", findings)
        if tensor is None:
            return None
        channels = channels or tensor.count
        if tensor.shape != (channels,):
            shown = shape_words(tensor.shape)
            findings.problem(f"{node.title}: the {name} of shape {shown}", expected=f"{channels} values")
            return None
        weights[name] = weight_of(tensor)
    return weights


def _repeated(tensor: Tensor, times: int) -> Tensor:
    """Return each value of a constant several times, one after the other."""
    return Tensor(
        tensor.name, (tensor.count * times,), tensor.kind, lambda: tensor.array().repeat(times), (tensor.origin, times)
    )
