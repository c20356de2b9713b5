"""Normalisations, products with matrices, softmax, reductions."""

from __future__ import annotations

import math

import numpy as np

from cnnrt_export_onnx.model_builder import LayerWriter, NotExpressible

_REDUCED = {
    "sum": "ReduceSum",
    "mean": "ReduceMean",
    "max": "ReduceMax",
    "min": "ReduceMin",
    "prod": "ReduceProd",
    "l1": "ReduceL1",
    "l2": "ReduceL2",
    "sum_square": "ReduceSumSquare",
    "log_sum": "ReduceLogSum",
    "log_sum_exp": "ReduceLogSumExp",
}


def fully_connected(out: LayerWriter) -> None:
    """Write a Gemm, behind a Flatten where there is something to flatten."""
    weights = out.weights()
    shape, axis = out.shape(), out.layer.axis % len(out.shape())
    matrix = weights["weight"].reshape(-1, math.prod(shape[axis:]))
    value = out.inputs[0]
    if axis == 1:
        if len(shape) != 2:
            value = out.step("Flatten", [value], axis=1)
        terms = [out.constant("weight", matrix)]
        if "bias" in weights:
            terms.append(out.constant("bias", weights["bias"]))
        out.last("Gemm", [value, *terms], transB=1)
        return
    if axis < len(shape) - 1:
        value = out.reshaped(value, [*out.flexible(value)[:axis], math.prod(shape[axis:])])
    product = [value, out.constant("weight", matrix.T)]
    if "bias" in weights:
        out.last("Add", [out.step("MatMul", product), out.constant("bias", weights["bias"])])
    else:
        out.last("MatMul", product)


def mat_mul(out: LayerWriter) -> None:
    """Write a MatMul, with a Transpose before it for each input that is the other way round."""
    values = list(out.inputs)
    for number, turned in enumerate((out.layer.transpose_a, out.layer.transpose_b)):
        if turned:
            order = list(range(len(out.shape(number))))
            values[number] = out.step("Transpose", [values[number]], perm=[*order[:-2], order[-1], order[-2]])
    out.last("MatMul", values)


def batch_norm(out: LayerWriter) -> None:
    """Write a BatchNormalization."""
    weights = out.weights()
    terms = [*_factors(out, "scale", "shift", len(weights["mean"]))]
    terms += [out.constant(name, weights[name]) for name in ("mean", "variance")]
    out.last("BatchNormalization", [*out.inputs, *terms], epsilon=out.layer.epsilon)


def instance_norm(out: LayerWriter) -> None:
    """Write an InstanceNormalization."""
    terms = _factors(out, "scale", "bias", out.shape()[1])
    out.last("InstanceNormalization", [*out.inputs, *terms], epsilon=out.layer.epsilon)


def group_norm(out: LayerWriter) -> None:
    """Write a GroupNormalization."""
    terms = _factors(out, "scale", "bias", out.shape()[1])
    out.last("GroupNormalization", [*out.inputs, *terms], epsilon=out.layer.epsilon, num_groups=out.layer.group)


def layer_norm(out: LayerWriter) -> None:
    """Write a LayerNormalization."""
    weights = out.weights()
    axis = out.layer.axis % len(out.shape())
    shape = out.shape()[axis:]
    if any(out.builder.network.varies(out.inputs[0])[axis:]):
        raise NotExpressible("an axis that depends on the batch")
    terms = [out.constant("scale", weights.get("scale", np.ones(shape, np.float32)).reshape(shape))]
    if "bias" in weights:
        terms.append(out.constant("bias", weights["bias"].reshape(shape)))
    out.last("LayerNormalization", [*out.inputs, *terms], axis=axis, epsilon=out.layer.epsilon)


def lrn(out: LayerWriter) -> None:
    """Write an LRN; ONNX has only the one across channels."""
    layer = out.layer
    if layer.norm_region != "across_channels":
        raise NotExpressible("norm_region within_channel")
    out.last("LRN", out.inputs, size=layer.local_size, alpha=layer.alpha, beta=layer.beta, bias=layer.k)


def softmax(out: LayerWriter) -> None:
    """Write a Softmax or a LogSoftmax."""
    op = "Softmax" if out.layer.type == "Softmax" else "LogSoftmax"
    out.last(op, out.inputs, axis=out.layer.axis)


def reduction(out: LayerWriter) -> None:
    """Write the reduction, and its factor."""
    layer = out.layer
    inputs = list(out.inputs)
    if layer.axes is not None or layer.axis is not None:
        rank = len(out.shape())
        axes = layer.axes if layer.axes is not None else range(layer.axis % rank, rank)
        inputs.append(out.constant("axes", list(axes)))
    op, keep = _REDUCED[layer.operation], int(layer.keepdims)
    if layer.coeff == 1:
        out.last(op, inputs, keepdims=keep)
    else:
        out.last("Mul", [out.step(op, inputs, keepdims=keep), out.number("coeff", layer.coeff)])


def arg_max(out: LayerWriter) -> None:
    """Write an ArgMax or ArgMin, whose places become float32."""
    layer = out.layer
    if layer.axis is None or layer.top_k != 1 or layer.out_max_val:
        raise NotExpressible("places without an axis, several of them, or values instead")
    op = "ArgMin" if layer.smallest else "ArgMax"
    select, keep = int(layer.select_last), int(layer.keepdims)
    places = out.step(op, out.inputs, axis=layer.axis, keepdims=keep, select_last_index=select)
    out.last("Cast", [places], to=1)


def _factors(out: LayerWriter, scale: str, shift: str, channels: int) -> list[str]:
    weights = out.weights()
    return [
        out.constant(scale, weights.get(scale, np.ones(channels, np.float32))),
        out.constant(shift, weights.get(shift, np.zeros(channels, np.float32))),
    ]
