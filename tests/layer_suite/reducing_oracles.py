"""Reductions, normalisations and matrix products once more: by ONNX's reference evaluator, or vector by vector."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cnnrt.layer import Array
from layer_suite.onnx_evaluator import onnx_node

Weights = Mapping[str, Array]

ONNX_REDUCTIONS = {
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


def reduction(layer: Any, inputs: Sequence[Array], weights: Weights) -> Array:
    (x,) = inputs
    if layer.axes is not None:
        axes = list(layer.axes)
    else:
        axes = list(range(0 if layer.axis is None else layer.axis % x.ndim, x.ndim))
    op = ONNX_REDUCTIONS[layer.operation]
    return layer.coeff * np.asarray(onnx_node(op, [x], opset=11, axes=axes, keepdims=int(layer.keepdims)))


def arg_max(layer: Any, inputs: Sequence[Array], weights: Weights) -> Array:
    """Python's own sort, list by list."""
    (x,) = inputs
    if layer.axis is None:
        rows = [_best(layer, list(item.ravel())) for item in x]
        picked = [[[p for p, _ in row], [v for _, v in row]][: 1 + layer.out_max_val] for row in rows]
        return np.array(picked, np.float64).reshape(len(x), 1 + layer.out_max_val, layer.top_k, *[1] * (x.ndim - 3))
    moved = np.moveaxis(x, layer.axis, -1)
    result = np.empty((*moved.shape[:-1], layer.top_k))
    for place in np.ndindex(moved.shape[:-1]):
        result[place] = [v if layer.out_max_val else p for p, v in _best(layer, list(moved[place]))]
    result = np.moveaxis(result, -1, layer.axis)
    return result if layer.keepdims else np.squeeze(result, layer.axis)


def _best(layer: Any, values: list[float]) -> list[tuple[int, float]]:
    sign = 1 if layer.smallest else -1
    later = -1 if layer.select_last else 1
    return sorted(enumerate(values), key=lambda pair: (sign * pair[1], later * pair[0]))[: layer.top_k]


def log_softmax(layer: Any, inputs: Sequence[Array], weights: Weights) -> Array:
    moved = np.moveaxis(inputs[0], layer.axis, -1)
    result = np.empty(moved.shape)
    for place in np.ndindex(moved.shape[:-1]):
        top = max(moved[place])
        total = math.log(math.fsum(math.exp(v - top) for v in moved[place]))
        result[place] = [v - top - total for v in moved[place]]
    return np.moveaxis(result, -1, layer.axis)


def _standard(values: Array, epsilon: float) -> Array:
    mean = math.fsum(values.ravel()) / values.size
    variance = math.fsum((v - mean) ** 2 for v in values.ravel()) / values.size
    return (values - mean) / math.sqrt(variance + epsilon) if variance + epsilon else (values - mean) / 0.0


def _channel_terms(result: Array, weights: Weights) -> Array:
    for c in range(result.shape[1]):
        result[:, c] = result[:, c] * weights.get("scale", np.ones(c + 1))[c] + weights.get("bias", np.zeros(c + 1))[c]
    return result


def instance_norm(layer: Any, inputs: Sequence[Array], weights: Weights) -> Array:
    result = np.empty(inputs[0].shape)
    for n, c in itertools.product(*map(range, result.shape[:2])):
        result[n, c] = _standard(inputs[0][n, c], layer.epsilon)
    return _channel_terms(result, weights)


def group_norm(layer: Any, inputs: Sequence[Array], weights: Weights) -> Array:
    result = np.empty(inputs[0].shape)
    each = result.shape[1] // layer.group
    for n, first in itertools.product(range(len(result)), range(0, result.shape[1], each)):
        result[n, first : first + each] = _standard(inputs[0][n, first : first + each], layer.epsilon)
    return _channel_terms(result, weights)


def layer_norm(layer: Any, inputs: Sequence[Array], weights: Weights) -> Array:
    (x,) = inputs
    axis = layer.axis % x.ndim
    result = np.empty(x.shape)
    for place in np.ndindex(x.shape[:axis]):
        result[place] = _standard(x[place], layer.epsilon) * weights.get("scale", 1.0) + weights.get("bias", 0.0)
    return result


def mvn(layer: Any, inputs: Sequence[Array], weights: Weights) -> Array:
    (x,) = inputs
    result = np.empty(x.shape)
    for place in np.ndindex(x.shape[: 1 if layer.across_channels else 2]):
        values = x[place]
        centred = values - math.fsum(values.ravel()) / values.size
        deviation = math.sqrt(math.fsum(v * v for v in centred.ravel()) / values.size)
        result[place] = centred / (deviation + layer.eps) if layer.normalize_variance else centred
    return result


def normalize(layer: Any, inputs: Sequence[Array], weights: Weights) -> Array:
    (x,) = inputs
    axis = layer.axis % x.ndim
    moved = x if layer.across_spatial else np.moveaxis(x, axis, -1)
    result = np.empty(moved.shape)
    for place in np.ndindex(moved.shape[: axis if layer.across_spatial else -1]):
        norm = (math.fsum(abs(v) ** layer.p for v in moved[place].ravel()) + layer.eps) ** (1 / layer.p)
        result[place] = moved[place] / norm if norm else moved[place]
    result = result if layer.across_spatial else np.moveaxis(result, -1, axis)
    if "scale" in weights:
        factors = np.broadcast_to(weights["scale"], x.shape[axis])
        result = np.moveaxis(np.moveaxis(result, axis, -1) * factors, -1, axis)
    return result


def mat_mul(layer: Any, inputs: Sequence[Array], weights: Weights) -> Array:
    flips = layer.transpose_a, layer.transpose_b
    return onnx_node(
        "MatMul", [x.swapaxes(-1, -2) if f and x.ndim > 1 else x for x, f in zip(inputs, flips, strict=True)]
    )


REDUCING = {
    "argmax": arg_max,
    "groupnorm": group_norm,
    "instancenorm": instance_norm,
    "layernorm": layer_norm,
    "logsoftmax": log_softmax,
    "matmul": mat_mul,
    "mvn": mvn,
    "normalize": normalize,
    "reduction": reduction,
}
