"""Conv and ConvTranspose with constant weights, of images and of rows (one dimension, an image of one row)."""

from __future__ import annotations

from cnnrt.findings import Findings
from cnnrt_import_onnx.nodes import OnnxNode
from cnnrt_import_onnx.operands import constant, value_of
from cnnrt_import_onnx.tensors import Tensor, shape_words
from cnnrt_import_onnx.values import Inputs, Made, Operand, Weight, bias_of, weight_of
from cnnrt_import_onnx.window_pads import WindowPlan, plan_windows, window_keys
from cnnrt_import_onnx.windows import as_image, from_image
from netfile_spec import Value as KeyValue


def convolution(node: OnnxNode, inputs: Inputs, findings: Findings) -> Made | None:
    """Conv with constant weights."""
    value = value_of(node, inputs[0], findings)
    kernels = None if value is None else _kernels(node, inputs[1], findings)
    if value is None or kernels is None:
        return None
    outputs, kernel = kernels.shape[0], kernels.shape[2:]
    keys: dict[str, KeyValue] = dict(window_keys(plan_windows(node, kernel, value, findings)))
    group = node.integer("group", 1, findings)
    if group < 1 or outputs % group:
        findings.problem(f"{node.title}: group {group} does not divide its {outputs} outputs")
        return None
    if group != 1:
        keys["group"] = group
    weights = _weights(node, inputs, kernels, outputs, findings)
    if weights is None:
        return None
    layer = Made("Convolution", (as_image(value, len(kernel)),), keys, weights, (outputs, None, None))
    return from_image(layer, len(kernel))


def transposed_convolution(node: OnnxNode, inputs: Inputs, findings: Findings) -> Made | None:
    """ConvTranspose with constant weights: (inputs, outputs of a group, rows, columns)."""
    value = value_of(node, inputs[0], findings)
    kernels = None if value is None else _kernels(node, inputs[1], findings)
    if value is None or kernels is None:
        return None
    kernel = kernels.shape[2:]
    group = node.integer("group", 1, findings)
    if group < 1 or kernels.shape[0] % group:
        findings.problem(f"{node.title}: group {group} does not divide its {kernels.shape[0]} inputs")
        return None
    outputs = kernels.shape[1] * group
    placed = _transposed_plan(node, kernel, value.shape, findings)
    weights = _weights(node, inputs, kernels, outputs, findings)
    if weights is None or placed is None:
        return None
    plan, beyond = placed
    keys: dict[str, KeyValue] = dict(window_keys(plan))
    if group != 1:
        keys["group"] = group
    if any(beyond):
        keys["output_pad"] = (0,) * (2 - len(beyond)) + beyond
    layer = Made("Deconvolution", (as_image(value, len(kernel)),), keys, weights, (outputs, None, None))
    return from_image(layer, len(kernel))


def _kernels(node: OnnxNode, given: Operand | None, findings: Findings) -> Tensor | None:
    kernels = constant(node, given, "the weights", findings)
    if kernels is None:
        return None
    if len(kernels.shape) not in (3, 4) or 0 in kernels.shape:
        findings.problem(
            f"{node.title}: weights of shape {shape_words(kernels.shape)}",
            expected="convolutions of images: (outputs, inputs, rows, columns), or of rows",
        )
        return None
    kernel = kernels.shape[2:]
    stated = node.integers("kernel_shape", kernel, findings, least=1, count=len(kernel))
    if stated != kernel:
        findings.problem(f"{node.title}: kernel_shape {list(stated)}, but the weights have {list(kernel)}")
        return None
    return kernels


def _weights(
    node: OnnxNode, inputs: Inputs, kernels: Tensor, outputs: int, findings: Findings
) -> dict[str, Weight] | None:
    if len(kernels.shape) == 3:
        kernels = kernels.reshaped((*kernels.shape[:2], 1, kernels.shape[2]))
    weights = {"weight": weight_of(kernels)}
    if inputs[2] is not None:
        bias = constant(node, inputs[2], "the bias", findings)
        if bias is None:
            return None
        if bias.shape != (outputs,):
            shown = shape_words(bias.shape)
            findings.problem(f"{node.title}: the bias of shape {shown}", expected=f"{outputs} values")
            return None
        weights["bias"] = bias_of(bias, outputs)
    return weights


def _transposed_plan(
    node: OnnxNode, kernel: tuple[int, ...], shape: tuple[int | None, ...] | None, findings: Findings
) -> tuple[WindowPlan, tuple[int, ...]] | None:
    """Return the windows, and how much longer the output is at its end than they make it.

    Without output_shape an output has (size - 1) * stride + output_padding + extent - pads values along an axis. With
    one, or with auto_pad, pads are what is left over, an odd one at the end for SAME_UPPER and else at the beginning.
    """
    rank = len(kernel)
    stride = node.integers("strides", (1,) * rank, findings, least=1, count=rank)
    dilation = node.integers("dilations", (1,) * rank, findings, least=1, count=rank)
    beyond = node.integers("output_padding", (0,) * rank, findings, least=0, count=rank)
    pads = node.integers("pads", (0,) * 2 * rank, findings, least=0, count=2 * rank)
    mode = node.text("auto_pad", "NOTSET", findings)
    same = mode in ("SAME_UPPER", "SAME_LOWER")
    if not same and mode not in ("NOTSET", "VALID"):
        findings.problem(f"{node.title}: auto_pad {mode!r:.40}", expected="NOTSET, VALID, SAME_UPPER or SAME_LOWER")
        return None
    if "output_shape" not in node.attributes and not same:
        return WindowPlan(stride, dilation, pads if mode == "NOTSET" else (0,) * 2 * rank, mode != "NOTSET"), beyond
    sizes = shape[-rank:] if shape is not None and len(shape) == rank + 2 else (None,) * rank
    if None in sizes:
        hint = "state the input's rows and columns in the model, or export it with explicit pads"
        findings.problem(f"{node.title}: its pads depend on the size of the image, which is unknown", hint=hint)
        return None
    known = [n for n in sizes if n is not None]
    wanted = node.integers("output_shape", (), findings, least=1, count=None)[-rank:] or tuple(
        n * s for n, s in zip(known, stride, strict=True)
    )
    before, after, longer = [], [], []
    for n, step, gap, extent, extra, target in zip(known, stride, dilation, kernel, beyond, wanted, strict=True):
        total = (n - 1) * step + extra + gap * (extent - 1) + 1 - target
        less, more = max(total, 0) // 2, max(total, 0) - max(total, 0) // 2
        before.append(less if mode == "SAME_UPPER" else more)
        after.append(more if mode == "SAME_UPPER" else less)
        longer.append(extra + max(-total, 0))
    return WindowPlan(stride, dilation, (*before, *after), True), tuple(longer)
