"""Operators that are a layer of their own, with weights or without.

Each rule takes the node, its inputs as they were found (computed values, constants, None where one is left out) and
the findings, and returns what the node becomes. Semantics are those of the operator sets 7 and later.
"""

from __future__ import annotations

import attrs

from cnnrt_import_onnx.findings import Findings
from cnnrt_import_onnx.nodes import OnnxNode
from cnnrt_import_onnx.tensors import FLOATS, Tensor, shape_words
from cnnrt_import_onnx.values import Flow, Item, Made, Weight, bias_of, weight_of
from cnnrt_import_onnx.window_pads import plan_windows, window_keys
from netfile_spec import Value as KeyValue

Inputs = tuple[Flow | Tensor | None, ...]
"""What a rule gets: as many as the node may have, those left out are None."""


def convolution(node: OnnxNode, inputs: Inputs, findings: Findings) -> Made | None:
    """Conv with constant weights, on images."""
    value = computed(node, inputs[0], findings)
    kernels = None if value is None else constant(node, inputs[1], "the weights", findings)
    if value is None or kernels is None:
        return None
    if len(kernels.shape) != 4 or 0 in kernels.shape:
        findings.problem(
            f"{node.title}: weights of shape {shape_words(kernels.shape)}",
            expected="convolutions of images: (outputs, inputs, rows, columns)",
        )
        return None
    outputs, _, *kernel = kernels.shape
    stated = node.integers("kernel_shape", kernel, findings, least=1)
    if list(stated) != kernel:
        findings.problem(f"{node.title}: kernel_shape {list(stated)}, but the weights have {kernel}")
        return None
    keys = window_keys(plan_windows(node, tuple(kernel), value, findings))
    group = node.integer("group", 1, findings)
    if group < 1 or outputs % group:
        findings.problem(f"{node.title}: group {group} does not divide its {outputs} outputs")
        return None
    if group != 1:
        keys["group"] = group
    weights = {"weight": weight_of(kernels)}
    if inputs[2] is not None:
        bias = constant(node, inputs[2], "the bias", findings)
        if bias is None or not _per_channel(node, bias, outputs, "the bias", findings):
            return None
        weights["bias"] = bias_of(bias, outputs)
    return Made("Convolution", (value,), keys, weights, (outputs, None, None))


def batch_normalisation(node: OnnxNode, inputs: Inputs, findings: Findings) -> Made | None:
    """BatchNormalization as in inference."""
    value = computed(node, inputs[0], findings)
    if node.integer("training_mode", 0, findings):
        findings.problem(f"{node.title}: training_mode 1", hint="export the model in inference mode (eval)")
        return None
    if not node.integer("spatial", 1, findings):
        findings.problem(f"{node.title}: spatial 0, which normalises each pixel by itself", expected="spatial 1")
        return None
    weights: dict[str, Weight] = {}
    channels = value.item[0] if value is not None and value.item else None
    for name, given in zip(("scale", "shift", "mean", "variance"), inputs[1:5], strict=True):
        tensor = constant(node, given, f"the {name}", findings)
        if tensor is None:
            return None
        channels = channels or tensor.count
        if not _per_channel(node, tensor, channels, f"the {name}", findings):
            return None
        weights[name] = weight_of(tensor.reshaped((tensor.count,)))
    if value is None:
        return None
    epsilon = node.number("epsilon", 1e-5, findings)
    keys: dict[str, KeyValue] = {} if epsilon == 1e-5 else {"epsilon": epsilon}
    in_order = {name: weights[name] for name in ("mean", "variance", "scale", "shift")}
    return Made("BatchNorm", (value,), keys, in_order, value.item)


def relu(node: OnnxNode, inputs: Inputs, findings: Findings) -> Made | None:
    """Relu, and LeakyRelu with its slope."""
    value = computed(node, inputs[0], findings)
    slope = node.number("alpha", 0.01, findings) if node.op == "LeakyRelu" else 0.0
    if value is None:
        return None
    return Made("ReLU", (value,), {"negative_slope": slope} if slope else {}, item=value.item)


def pooling(node: OnnxNode, inputs: Inputs, findings: Findings) -> Made | None:
    """MaxPool and AveragePool of images: Caffe's rule of windows, floor unless ceil_mode says otherwise."""
    value = computed(node, inputs[0], findings)
    if value is None:
        return None
    if "kernel_shape" not in node.attributes:
        findings.problem(f"{node.title}: it has no kernel_shape")
        return None
    kernel = node.integers("kernel_shape", (1, 1), findings, least=1)
    plan = plan_windows(node, kernel, value, findings)
    if plan.dilation != (1, 1):
        findings.problem(f"{node.title}: dilations {list(plan.dilation)}", hint="no layer of cnnrt pools with gaps")
        return None
    keys: dict[str, KeyValue] = {"pool": "max" if node.op == "MaxPool" else "mean"}
    keys["kernel_size"] = kernel[0] if kernel[0] == kernel[1] else kernel
    keys |= window_keys(plan)
    # By the specification auto_pad settles the output's size by itself, so that there is nothing to round.
    if plan.automatic or not node.integer("ceil_mode", 0, findings):
        keys["ceil_mode"] = False
    if node.op == "AveragePool" and any(plan.pad) and not node.integer("count_include_pad", 0, findings):
        keys["count_include_pad"] = False
    return Made("Pooling", (value,), keys, item=_channels_only(value.item))


def global_pooling(node: OnnxNode, inputs: Inputs, findings: Findings) -> Made | None:
    """GlobalAveragePool and GlobalMaxPool."""
    value = computed(node, inputs[0], findings)
    if value is None:
        return None
    item = (value.item[0], 1, 1) if value.item else None
    keys = {"pool": "max" if node.op == "GlobalMaxPool" else "mean", "global_pooling": True}
    return Made("Pooling", (value,), keys, item=item)


def lrn(node: OnnxNode, inputs: Inputs, findings: Findings) -> Made | None:
    """LRN: across channels, with alpha divided by the size, as in Caffe."""
    value = computed(node, inputs[0], findings)
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
    if value is None:
        return None
    return Made("LRN", (value,), keys, item=value.item)


def softmax(node: OnnxNode, inputs: Inputs, findings: Findings) -> Made | None:
    """Softmax. Before operator set 13 all dimensions from `axis` on count as one; from 13 on, only `axis`."""
    value = computed(node, inputs[0], findings)
    if value is None:
        return None
    flattens = node.opset < 13
    axis = node.integer("axis", 1 if flattens else -1, findings)
    if value.item is None:
        if flattens or axis <= 0:
            no_shape(node, value, findings)
            return None
        return Made("Softmax", (value,), {} if axis == 1 else {"axis": axis})
    resolved = item_axis(node, axis, value.item, findings)
    if resolved is None:
        return None
    if flattens:
        joined = [i for i, n in enumerate(value.item, start=1) if i >= resolved and n != 1] or [resolved]
        if len(joined) > 1:
            findings.problem(
                f"{node.title}: before operator set 13 it joins the dimensions {joined} of "
                f"{shape_words((None, *value.item))}",
                hint="put a Flatten before it, or save the model with operator set 13 or later",
            )
            return None
        resolved = joined[0]
    return Made("Softmax", (value,), {} if resolved == 1 else {"axis": resolved}, item=value.item)


def gemm(node: OnnxNode, inputs: Inputs, findings: Findings) -> Made | None:
    """Gemm with a constant matrix: alpha * A * B + beta * C."""
    value = computed(node, inputs[0], findings)
    matrix = None if value is None else constant(node, inputs[1], "the weights", findings)
    if value is None or matrix is None:
        return None
    if node.integer("transA", 0, findings):
        findings.problem(f"{node.title}: transA 1, which mixes the images of a batch", expected="transA 0")
        return None
    if value.item is not None and len(value.item) != 1:
        shown = shape_words((None, *value.item))
        findings.problem(f"{node.title}: an input of shape {shown}", expected="two dimensions")
        return None
    rows_are_outputs = bool(node.integer("transB", 0, findings))
    made = _product(node, value, matrix, node.number("alpha", 1.0, findings), rows_are_outputs, findings)
    if made is None or inputs[2] is None:
        return made
    added = constant(node, inputs[2], "the bias", findings)
    if added is None:
        return None
    return with_bias(node, made, added, findings, factor=node.number("beta", 1.0, findings))


def matrix_product(node: OnnxNode, inputs: Inputs, findings: Findings) -> Made | None:
    """MatMul of a value and a constant matrix, along the value's last dimension."""
    value = computed(node, inputs[0], findings)
    matrix = None if value is None else constant(node, inputs[1], "the weights", findings)
    if value is None or matrix is None:
        return None
    if value.item is None:
        no_shape(node, value, findings)
        return None
    made = _product(node, value, matrix, 1.0, False, findings)
    if made is None or len(value.item) == 1:
        return made
    return attrs.evolve(made, keys={"axis": -1}, item=(*value.item[:-1], made.weights["weight"].shape[0]))


def dropout(node: OnnxNode, inputs: Inputs, findings: Findings) -> Made | None:
    """Dropout, which does nothing in inference; since operator set 12 ratio and training_mode are inputs."""
    value = computed(node, inputs[0], findings)
    training = inputs[2]
    if isinstance(training, Flow) or (isinstance(training, Tensor) and training.count and training.array().any()):
        findings.problem(f"{node.title}: training_mode is set", hint="export the model in inference mode (eval)")
        return None
    if value is None:
        return None
    return Made("Dropout", (value,), item=value.item)


def computed(node: OnnxNode, given: Flow | Tensor | None, findings: Findings) -> Flow | None:
    """Return an input that must be computed by the layers before; a problem where it is a constant or left out."""
    if isinstance(given, Flow):
        return given
    what = "left out" if given is None else "a constant"
    findings.problem(f"{node.title}: its input is {what}", expected="a value that is computed from the model's inputs")
    return None


def constant(node: OnnxNode, given: Flow | Tensor | None, what: str, findings: Findings) -> Tensor | None:
    """Return an input that must be a constant of floating-point numbers; a problem where it is none."""
    if isinstance(given, Tensor):
        if given.kind in FLOATS:
            return given
        findings.problem(f"{node.title}: {what} of type {given.kind}", expected="floating-point numbers")
    elif given is None:
        findings.problem(f"{node.title}: {what} is left out")
    elif not given.failed:
        expected = "a constant (an initializer of the model)"
        findings.problem(f"{node.title}: {what} cannot be computed while the model runs", expected=expected)
    return None


def with_bias(node: OnnxNode, made: Made, added: Tensor, findings: Findings, *, factor: float = 1.0) -> Made | None:
    """Return a Convolution or FullyConnected with a constant added to each channel of its output, as its bias."""
    outputs = made.weights["weight"].shape[0]
    rank = 4 if made.type == "Convolution" else 1 + len(made.item or (outputs,))
    channel = 1 if made.type == "Convolution" else rank - 1
    shape = (1,) * (rank - len(added.shape)) + added.shape
    fits = len(shape) == rank and all(n == 1 or (i == channel and n == outputs) for i, n in enumerate(shape))
    if not fits:
        findings.problem(
            f"{node.title}: it adds a constant of shape {shape_words(added.shape)}",
            expected=f"one value, or one for each of the {outputs} outputs",
        )
        return None
    bias = bias_of(added, outputs, factor=factor, before=made.weights.get("bias"))
    return attrs.evolve(made, weights={**made.weights, "bias": bias})


def item_axis(node: OnnxNode, axis: int, item: Item, findings: Findings) -> int | None:
    """Return an axis counted from 0, of a value with this item's shape; a problem where it is the batch, or none."""
    rank = 1 + len(item)
    resolved = axis + rank if axis < 0 else axis
    if 0 < resolved < rank:
        return resolved
    reason = "which is the batch" if resolved == 0 else f"of a value with {rank} dimensions"
    findings.problem(f"{node.title}: axis {axis}, {reason}", expected="a dimension of each image")
    return None


def no_shape(node: OnnxNode, value: Flow, findings: Findings) -> None:
    """Add the problem that a rule needs the shape of a value, which the model does not state."""
    if not value.failed:
        findings.problem(
            f"{node.title}: what it does depends on the shape of its input, which is not known here",
            hint="state the shapes of the model's inputs in it (all but the batch)",
        )


def _product(
    node: OnnxNode, value: Flow, matrix: Tensor, factor: float, rows_are_outputs: bool, findings: Findings
) -> Made | None:
    if len(matrix.shape) != 2 or 0 in matrix.shape:
        findings.problem(f"{node.title}: weights of shape {shape_words(matrix.shape)}", expected="a matrix")
        return None
    weight = weight_of(matrix, transpose=not rows_are_outputs, factor=factor)
    return Made("FullyConnected", (value,), {}, {"weight": weight}, (weight.shape[0],))


def _per_channel(node: OnnxNode, tensor: Tensor, channels: int, what: str, findings: Findings) -> bool:
    if tensor.shape == (channels,):
        return True
    findings.problem(f"{node.title}: {what} of shape {shape_words(tensor.shape)}", expected=f"{channels} values")
    return False


def _channels_only(item: Item | None) -> Item | None:
    return (item[0], *[None] * (len(item) - 1)) if item else None
