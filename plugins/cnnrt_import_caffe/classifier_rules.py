"""The layers that classifiers of Caffe's first years are made of: their keys in a NetFile, and their weights.

Semantics and checks are those of Caffe's layers; a key is written where it differs from cnnrt's default.
"""

from __future__ import annotations

from cnnrt_import_caffe.findings import Findings
from cnnrt_import_caffe.net import CaffeLayer
from cnnrt_import_caffe.rules import (
    LARGEST,
    Converted,
    Pair,
    Rule,
    WeightShape,
    add_pair,
    number,
    outputs_of,
    pair_of,
    refuse,
)
from netfile_spec import Value


def _convolution(layer: CaffeLayer, findings: Findings) -> Converted:
    keys, outputs, kernel = _kernels(layer, findings)
    weight = WeightShape("weight", (outputs, None, *kernel))
    return Converted("Convolution", keys, (weight, *_bias(layer, outputs)))


def _deconvolution(layer: CaffeLayer, findings: Findings) -> Converted:
    keys, outputs, kernel = _kernels(layer, findings)
    group = max(1, layer.param.convolution_param.group)
    weight = WeightShape("weight", (None, outputs // group, *kernel))
    return Converted("Deconvolution", keys, (weight, *_bias(layer, outputs)))


def _kernels(layer: CaffeLayer, findings: Findings) -> tuple[dict[str, Value], int, Pair]:
    """Return the keys, the outputs and the kernel that a convolution and a deconvolution state alike."""
    param, block = layer.param.convolution_param, "convolution_param"
    kernel = pair_of(layer, findings, block, "kernel_size", "kernel", default=None, least=1)
    keys: dict[str, Value] = {}
    add_pair(keys, "pad", pair_of(layer, findings, block, "pad", "pad", default=0, least=0), 0)
    add_pair(keys, "stride", pair_of(layer, findings, block, "stride", "stride", default=1, least=1), 1)
    add_pair(keys, "dilation", pair_of(layer, findings, block, "dilation", "", default=1, least=1), 1)
    outputs, group = outputs_of(layer, findings, block), param.group
    if group < 1 or outputs % group:
        findings.of_layer(layer, f"{outputs} outputs cannot be split into {group} groups", block, "group")
    elif group != 1:
        keys["group"] = group
    if param.axis not in (1, -3):
        findings.of_layer(layer, f"convolution over axis {param.axis}", block, "axis", expected="axis 1")
    refuse(layer, findings, block, "fuse_type", "layers fused into a convolution")
    return keys, outputs, kernel


def _bias(layer: CaffeLayer, outputs: int) -> tuple[WeightShape, ...]:
    return (WeightShape("bias", (outputs,)),) if layer.param.convolution_param.bias_term else ()


def _inner_product(layer: CaffeLayer, findings: Findings) -> Converted:
    param = layer.param.inner_product_param
    outputs = outputs_of(layer, findings, "inner_product_param")
    keys: dict[str, Value] = {} if param.axis == 1 else {"axis": param.axis}
    stored = (None, outputs) if param.transpose else (outputs, None)
    weight = WeightShape("weight", stored, transpose=param.transpose)
    bias = (WeightShape("bias", (outputs,)),) if param.bias_term else ()
    return Converted("FullyConnected", keys, (weight, *bias))


def _pooling(layer: CaffeLayer, findings: Findings) -> Converted:
    param, block = layer.param.pooling_param, "pooling_param"
    method = ("max", "mean", "stochastic")[param.pool]
    # Stated even where it is the default: CNNdroid has none.
    if method == "stochastic":
        findings.of_layer(layer, "stochastic pooling", block, "pool", expected="pool: MAX or AVE")
    keys: dict[str, Value] = {"pool": method}
    pad = pair_of(layer, findings, block, "pad", "pad", default=0, least=0)
    stride = pair_of(layer, findings, block, "stride", "stride", default=1, least=1)
    if param.global_pooling:
        keys["global_pooling"] = True
        if param.kernel_size or param.HasField("kernel_h") or param.HasField("kernel_w"):
            message = "global pooling with a kernel size"
            findings.of_layer(layer, message, block, "global_pooling", expected="one of them")
        if pad != (0, 0) or stride != (1, 1):
            message = "global pooling with a pad or a stride"
            findings.of_layer(layer, message, block, "global_pooling", expected="pad 0 and stride 1")
    else:
        kernel = pair_of(layer, findings, block, "kernel_size", "kernel", default=None, least=1)
        add_pair(keys, "kernel_size", kernel, 0)
        add_pair(keys, "pad", pad, 0)
        add_pair(keys, "stride", stride, 1)
        if pad[0] >= kernel[0] or pad[1] >= kernel[1]:
            findings.of_layer(layer, f"pad {pad} is not smaller than the kernel {kernel}", block, "pad")
    floor = param.round_mode == 1 or not param.ceil_mode
    if floor:
        keys["ceil_mode"] = False
    if len(layer.tops) > 1:
        keys["mask"] = True
        if method != "max":
            findings.of_layer(layer, f"{method} pooling with a second top", "top", nth=1, expected="pool: MAX")
    if floor and layer.place.entry is None:
        findings.note(
            f"layer {layer.title}: field 13 of its pooling parameters is read as round_mode FLOOR, as in BVLC's "
            "Caffe; in OpenCL-Caffe it is a dilation. A prototxt beside the caffemodel settles it."
        )
    refuse(layer, findings, block, "dilation", "dilated pooling", harmless="1")
    return Converted("Pooling", keys)


def _lrn(layer: CaffeLayer, findings: Findings) -> Converted:
    param = layer.param.lrn_param
    keys: dict[str, Value] = {}
    if param.local_size != 5:
        keys["local_size"] = param.local_size
    if param.local_size % 2 == 0 or param.local_size > LARGEST:
        findings.of_layer(layer, f"local_size {param.local_size}", "lrn_param", "local_size", expected="an odd number")
    within = param.norm_region == 1
    for key, default in (("alpha", 1.0), ("beta", 0.75), ("k", 1.0)):
        value = number(getattr(param, key))
        if value != default and key == "k" and within:
            findings.note(f"layer {layer.title}: k = {value} is left out; within a channel Caffe always uses 1")
        elif value != default:
            keys[key] = value
    if within:
        keys["norm_region"] = "within_channel"
    refuse(layer, findings, "lrn_param", "fuse_type", "pooling fused into normalisation")
    return Converted("LRN", keys)


def _relu(layer: CaffeLayer, findings: Findings) -> Converted:
    slope = number(layer.param.relu_param.negative_slope)
    return Converted("ReLU", {"negative_slope": slope} if slope else {})


def _softmax(layer: CaffeLayer, findings: Findings) -> Converted:
    axis = layer.param.softmax_param.axis
    return Converted("Softmax", {} if axis == 1 else {"axis": axis})


def _concat(layer: CaffeLayer, findings: Findings) -> Converted:
    param = layer.param.concat_param
    if param.HasField("axis") and param.HasField("concat_dim"):
        findings.of_layer(layer, "both axis and concat_dim", "concat_param", "concat_dim", expected="one of them")
    axis = param.concat_dim if param.HasField("concat_dim") else param.axis
    return Converted("Concat", {} if axis == 1 else {"axis": axis})


def _dropout(layer: CaffeLayer, findings: Findings) -> Converted:
    param = layer.param.dropout_param
    if not param.scale_train:
        message = "dropout that scales in inference (scale_train: false)"
        findings.of_layer(layer, message, "dropout_param", "scale_train", hint="scale the weights behind it instead")
    ratio = number(param.dropout_ratio)
    if not 0 <= ratio <= 1:
        findings.of_layer(layer, f"dropout_ratio {ratio}", "dropout_param", "dropout_ratio", expected="0 to 1")
    return Converted("Dropout", {} if ratio == 0.5 else {"dropout_ratio": ratio})


def _flatten(layer: CaffeLayer, findings: Findings) -> Converted:
    param = layer.param.flatten_param
    keys: dict[str, Value] = {} if param.axis == 1 else {"axis": param.axis}
    if param.end_axis != -1:
        keys["end_axis"] = param.end_axis
    return Converted("Flatten", keys)


def _eltwise(layer: CaffeLayer, findings: Findings) -> Converted:
    param, block = layer.param.eltwise_param, "eltwise_param"
    operation = ("prod", "sum", "max")[param.operation]
    keys: dict[str, Value] = {} if operation == "sum" else {"operation": operation}
    coeff = tuple(number(c) for c in param.coeff)
    if coeff and (operation != "sum" or len(coeff) != len(layer.bottoms)):
        wanted = f"{len(layer.bottoms)} of them, one for each bottom, with operation SUM"
        findings.of_layer(layer, f"{len(coeff)} coeff", block, "coeff", expected=wanted)
    elif any(c != 1 for c in coeff):
        keys["coeff"] = coeff
    return Converted("Eltwise", keys)


CLASSIFIER_RULES = {
    "Concat": Rule("concat_param", _concat, (1, None)),
    "Convolution": Rule("convolution_param", _convolution),
    "Deconvolution": Rule("convolution_param", _deconvolution),
    "Dropout": Rule("dropout_param", _dropout),
    "Eltwise": Rule("eltwise_param", _eltwise, (2, None)),
    "Flatten": Rule("flatten_param", _flatten),
    "InnerProduct": Rule("inner_product_param", _inner_product),
    "LRN": Rule("lrn_param", _lrn),
    "Pooling": Rule("pooling_param", _pooling, most_tops=2),
    "ReLU": Rule("relu_param", _relu),
    "Softmax": Rule("softmax_param", _softmax),
}
