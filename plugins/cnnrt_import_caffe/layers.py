"""Each type of layer that is imported: its keys in a NetFile, and the weights that it must have.

Semantics and checks are those of Caffe's layers; a key is written where it differs from cnnrt's default.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import numpy as np

from cnnrt_import_caffe.findings import Findings
from cnnrt_import_caffe.net import CaffeLayer
from netfile_spec import Value

Pair = tuple[int, int]
_LARGEST = 2**31 - 1


@attrs.frozen
class WeightShape:
    """What a weight's stored shape must be; None stands for any size. `transpose`: stored the other way round."""

    name: str
    shape: tuple[int | None, ...]
    transpose: bool = False


@attrs.frozen
class Converted:
    """A layer of a NetFile: type, keys, and the weights that go with it."""

    type: str
    keys: dict[str, Value]
    weights: tuple[WeightShape, ...] = ()


def _convolution(layer: CaffeLayer, findings: Findings) -> Converted:
    param, block = layer.param.convolution_param, "convolution_param"
    kernel = _pair(layer, findings, block, "kernel_size", "kernel", default=None, least=1)
    keys: dict[str, Value] = {}
    _add_pair(keys, "pad", _pair(layer, findings, block, "pad", "pad", default=0, least=0), 0)
    _add_pair(keys, "stride", _pair(layer, findings, block, "stride", "stride", default=1, least=1), 1)
    _add_pair(keys, "dilation", _pair(layer, findings, block, "dilation", "", default=1, least=1), 1)
    outputs, group = _outputs(layer, findings, block), param.group
    if group < 1 or outputs % group:
        findings.problem(layer, f"{outputs} outputs cannot be split into {group} groups", block, "group")
    elif group != 1:
        keys["group"] = group
    if param.axis not in (1, -3):
        findings.problem(layer, f"convolution over axis {param.axis}", block, "axis", expected="axis 1")
    _refuse(layer, findings, block, "fuse_type", "layers fused into a convolution")
    weight = WeightShape("weight", (outputs, None, *kernel))
    bias = (WeightShape("bias", (outputs,)),) if param.bias_term else ()
    return Converted("Convolution", keys, (weight, *bias))


def _inner_product(layer: CaffeLayer, findings: Findings) -> Converted:
    param = layer.param.inner_product_param
    outputs = _outputs(layer, findings, "inner_product_param")
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
        findings.problem(layer, "stochastic pooling", block, "pool", expected="pool: MAX or AVE")
    keys: dict[str, Value] = {"pool": method}
    pad = _pair(layer, findings, block, "pad", "pad", default=0, least=0)
    stride = _pair(layer, findings, block, "stride", "stride", default=1, least=1)
    if param.global_pooling:
        keys["global_pooling"] = True
        if param.kernel_size or param.HasField("kernel_h") or param.HasField("kernel_w"):
            message = "global pooling with a kernel size"
            findings.problem(layer, message, block, "global_pooling", expected="one of them")
        if pad != (0, 0) or stride != (1, 1):
            message = "global pooling with a pad or a stride"
            findings.problem(layer, message, block, "global_pooling", expected="pad 0 and stride 1")
    else:
        kernel = _pair(layer, findings, block, "kernel_size", "kernel", default=None, least=1)
        _add_pair(keys, "kernel_size", kernel, 0)
        _add_pair(keys, "pad", pad, 0)
        _add_pair(keys, "stride", stride, 1)
        if pad[0] >= kernel[0] or pad[1] >= kernel[1]:
            findings.problem(layer, f"pad {pad} is not smaller than the kernel {kernel}", block, "pad")
    floor = param.round_mode == 1 or not param.ceil_mode
    if floor:
        keys["ceil_mode"] = False
    if floor and layer.place.entry is None:
        findings.note(
            f"layer {layer.title}: field 13 of its pooling parameters is read as round_mode FLOOR, as in BVLC's "
            "Caffe; in OpenCL-Caffe it is a dilation. A prototxt beside the caffemodel settles it."
        )
    _refuse(layer, findings, block, "dilation", "dilated pooling", harmless="1")
    return Converted("Pooling", keys)


def _lrn(layer: CaffeLayer, findings: Findings) -> Converted:
    param = layer.param.lrn_param
    keys: dict[str, Value] = {}
    if param.local_size != 5:
        keys["local_size"] = param.local_size
    if param.local_size % 2 == 0 or param.local_size > _LARGEST:
        findings.problem(layer, f"local_size {param.local_size}", "lrn_param", "local_size", expected="an odd number")
    within = param.norm_region == 1
    for key, default in (("alpha", 1.0), ("beta", 0.75), ("k", 1.0)):
        value = _number(getattr(param, key))
        if value != default and key == "k" and within:
            findings.note(f"layer {layer.title}: k = {value} is left out; within a channel Caffe always uses 1")
        elif value != default:
            keys[key] = value
    if within:
        keys["norm_region"] = "within_channel"
    _refuse(layer, findings, "lrn_param", "fuse_type", "pooling fused into normalisation")
    return Converted("LRN", keys)


def _relu(layer: CaffeLayer, findings: Findings) -> Converted:
    slope = _number(layer.param.relu_param.negative_slope)
    return Converted("ReLU", {"negative_slope": slope} if slope else {})


def _softmax(layer: CaffeLayer, findings: Findings) -> Converted:
    axis = layer.param.softmax_param.axis
    return Converted("Softmax", {} if axis == 1 else {"axis": axis})


def _concat(layer: CaffeLayer, findings: Findings) -> Converted:
    param = layer.param.concat_param
    if param.HasField("axis") and param.HasField("concat_dim"):
        findings.problem(layer, "both axis and concat_dim", "concat_param", "concat_dim", expected="one of them")
    axis = param.concat_dim if param.HasField("concat_dim") else param.axis
    return Converted("Concat", {} if axis == 1 else {"axis": axis})


def _dropout(layer: CaffeLayer, findings: Findings) -> Converted:
    param = layer.param.dropout_param
    if not param.scale_train:
        message = "dropout that scales in inference (scale_train: false)"
        findings.problem(layer, message, "dropout_param", "scale_train", hint="scale the weights behind it instead")
    ratio = _number(param.dropout_ratio)
    if not 0 <= ratio <= 1:
        findings.problem(layer, f"dropout_ratio {ratio}", "dropout_param", "dropout_ratio", expected="0 to 1")
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
    coeff = tuple(_number(c) for c in param.coeff)
    if coeff and (operation != "sum" or len(coeff) != len(layer.bottoms)):
        wanted = f"{len(layer.bottoms)} of them, one for each bottom, with operation SUM"
        findings.problem(layer, f"{len(coeff)} coeff", block, "coeff", expected=wanted)
    elif any(c != 1 for c in coeff):
        keys["coeff"] = coeff
    return Converted("Eltwise", keys)


@attrs.frozen
class Rule:
    """How a type is read: the block of its parameters, the conversion, least and most bottoms (None: any)."""

    block: str
    convert: Callable[[CaffeLayer, Findings], Converted]
    bottoms: tuple[int, int | None] = (1, 1)


SUPPORTED = {
    "Concat": Rule("concat_param", _concat, (1, None)),
    "Convolution": Rule("convolution_param", _convolution),
    "Dropout": Rule("dropout_param", _dropout),
    "Eltwise": Rule("eltwise_param", _eltwise, (2, None)),
    "Flatten": Rule("flatten_param", _flatten),
    "InnerProduct": Rule("inner_product_param", _inner_product),
    "LRN": Rule("lrn_param", _lrn),
    "Pooling": Rule("pooling_param", _pooling),
    "ReLU": Rule("relu_param", _relu),
    "Softmax": Rule("softmax_param", _softmax),
}


def _outputs(layer: CaffeLayer, findings: Findings, block: str) -> int:
    outputs: int = getattr(layer.param, block).num_output
    if not 1 <= outputs <= _LARGEST:
        findings.problem(layer, f"num_output {outputs}", block, "num_output", expected="at least 1")
        return 1
    return outputs


def _pair(
    layer: CaffeLayer, findings: Findings, block: str, key: str, stem: str, *, default: int | None, least: int
) -> Pair:
    """Return (vertical, horizontal) of `key`, given once, twice, or as `stem`_h and `stem`_w.

    A `default` of None means that it must be stated; the result is then (least, least) beside a problem.
    """
    param = getattr(layer.param, block)
    stated = tuple(getattr(param, key))
    apart = [side for side in (f"{stem}_h", f"{stem}_w") if stem and param.HasField(side)]
    fallback = least if default is None else default
    if apart and stated:
        findings.problem(layer, f"both {key} and {apart[0]}", block, apart[0], expected="one of the two forms")
        return fallback, fallback
    if apart:
        stated = (getattr(param, f"{stem}_h"), getattr(param, f"{stem}_w"))
    if len(stated) > 2:
        message = f"{key} for {len(stated)} dimensions"
        findings.problem(layer, message, block, key, expected="images: one or two numbers")
        return fallback, fallback
    pair = (stated[0], stated[-1]) if stated else (fallback, fallback)
    if not stated and default is None:
        findings.problem(layer, f"no {key}", block, expected=f"{key}, or {stem}_h and {stem}_w")
    elif min(pair) < least or max(pair) > _LARGEST:
        where = apart[0] if apart else key
        findings.problem(layer, f"{key} {pair[0]}×{pair[1]}", block, where, expected=f"at least {least}")
        return fallback, fallback
    return pair


def _add_pair(keys: dict[str, Value], key: str, pair: Pair, default: int) -> None:
    if pair != (default, default):
        keys[key] = pair[0] if pair[0] == pair[1] else pair


def _refuse(layer: CaffeLayer, findings: Findings, block: str, key: str, what: str, harmless: str = "UNFUSED") -> None:
    """Add a problem for a key that only some forks of Caffe have and that changes the result."""
    value = layer.place.value(block, key)
    if value is not None and value != harmless:
        findings.problem(layer, f"{what} ({key}: {value[:40]})", block, key, hint="no layer of cnnrt does this")


def _number(value: Any) -> float:
    """Return a float32 as the shortest decimal number that means it: 0.0001, not 0.00009999999747."""
    return float(str(np.float32(value)))
