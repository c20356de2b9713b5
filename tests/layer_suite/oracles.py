"""Every layer once more, by somebody else: ONNX's reference evaluator, SciPy, or plain loops over the definition.

All take and give float64. Where ONNX's evaluator departs from Caffe, or from its own specification, there are loops.
"""

from __future__ import annotations

import functools
import itertools
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import scipy.ndimage

from cnnrt.layer import Array, Layer
from layer_suite.detection_oracles import DETECTION
from layer_suite.elementwise_oracles import ELEMENTWISE
from layer_suite.image_oracles import IMAGES
from layer_suite.moving_oracles import MOVING
from layer_suite.onnx_evaluator import onnx_node
from layer_suite.reducing_oracles import REDUCING
from layer_suite.repeating_oracles import REPEATING

Weights = Mapping[str, Array]


def oracle(layer: Layer, inputs: Sequence[Array], weights: Weights) -> tuple[Array, ...]:
    """Return the layer's outputs, computed independently of `layer.reference`."""
    computed = ORACLES[layer.type.lower()](layer, inputs, weights)
    results = computed if isinstance(computed, tuple) else (computed,)
    return tuple(np.asarray(result, np.float64) for result in results)


def convolution(layer: Any, inputs: Sequence[Array], weights: Weights) -> Array:
    arrays = [inputs[0], weights["weight"], *([weights["bias"]] if "bias" in weights else [])]
    return onnx_node("Conv", arrays, pads=layer.pad, strides=layer.stride, dilations=layer.dilation, group=layer.group)


def pooling(layer: Any, inputs: Sequence[Array], weights: Weights) -> Array | tuple[Array, ...]:
    """Loops over Caffe's definition: ONNX's evaluator knows neither its clipping of windows nor its divisor."""
    (x,) = inputs
    size = x.shape[2:]
    kernel = size if layer.global_pooling else layer.kernel_size
    begin, end, stride = layer.pad[:2], layer.pad[2:], layer.stride
    pooled = []
    for i in (0, 1):
        exact = (size[i] + begin[i] + end[i] - layer.dilation[i] * (kernel[i] - 1) - 1) / stride[i]
        count = (math.ceil(exact) if layer.ceil_mode else math.floor(exact)) + 1
        pooled.append(count - 1 if (count - 1) * stride[i] >= size[i] + begin[i] else count)
    result, places = np.empty((*x.shape[:2], *pooled)), np.empty((*x.shape[:2], *pooled))
    for row, column in itertools.product(*map(range, pooled)):
        starts = [at * stride[i] - begin[i] for i, at in enumerate((row, column))]
        taps = [[starts[i] + k * layer.dilation[i] for k in range(kernel[i])] for i in (0, 1)]
        area = math.prod(sum(tap < size[i] + end[i] for tap in taps[i]) for i in (0, 1))
        real = [[tap for tap in taps[i] if 0 <= tap < size[i]] for i in (0, 1)]
        window = x[:, :, real[0]][:, :, :, real[1]]
        if layer.pool == "max":
            result[:, :, row, column] = window.max(axis=(2, 3), initial=-math.inf)
        elif layer.pool == "lp":
            result[:, :, row, column] = (np.abs(window) ** layer.p).sum(axis=(2, 3)) ** (1 / layer.p)
        else:
            divisor = area if layer.count_include_pad else math.prod(window.shape[2:])
            result[:, :, row, column] = window.sum(axis=(2, 3)) / divisor
        if layer.mask:
            numbers = [r * size[1] + c for r in real[0] for c in real[1]] or [0]
            flat = window.reshape(*window.shape[:2], math.prod(window.shape[2:]))
            found = flat.argmax(axis=2) if flat.shape[2] else np.zeros(flat.shape[:2], int)
            places[:, :, row, column] = np.array(numbers)[found]
    return (result, places) if layer.mask else result


def lrn(layer: Any, inputs: Sequence[Array], weights: Weights) -> Array:
    """SciPy's correlation; ONNX's evaluator takes the number of images for that of channels."""
    (x,) = inputs
    ones = np.ones(layer.local_size)
    if layer.norm_region == "across_channels":
        mean = scipy.ndimage.correlate1d(x**2, ones, axis=1, mode="constant") / layer.local_size
        return x / (layer.k + layer.alpha * mean) ** layer.beta
    window = np.ones((1, 1, layer.local_size, layer.local_size))
    mean = scipy.ndimage.correlate(x**2, window, mode="constant") / window.size
    return x / (1 + layer.alpha * mean) ** layer.beta


def fully_connected(layer: Any, inputs: Sequence[Array], weights: Weights) -> Array:
    axis = layer.axis % inputs[0].ndim
    kept, joined = inputs[0].shape[:axis], inputs[0].shape[axis:]
    flat = inputs[0].reshape(math.prod(kept), math.prod(joined))
    bias = weights.get("bias", np.zeros(len(weights["weight"])))
    return onnx_node("Gemm", [flat, weights["weight"], bias], transB=1).reshape(*kept, len(bias))


def batch_norm(layer: Any, inputs: Sequence[Array], weights: Weights) -> Array:
    """Channel by channel; ONNX keeps epsilon in float32."""
    result = np.empty(inputs[0].shape)
    for c in range(inputs[0].shape[1]):
        deviation = math.sqrt(float(weights["variance"][c]) + layer.epsilon)
        result[:, c] = (inputs[0][:, c] - float(weights["mean"][c])) / deviation
        if "scale" in weights:
            result[:, c] *= float(weights["scale"][c])
        if "shift" in weights:
            result[:, c] += float(weights["shift"][c])
    return result


def relu(layer: Any, inputs: Sequence[Array], weights: Weights) -> Array:
    if layer.negative_slope == 0:
        return onnx_node("Relu", inputs)
    # ONNX keeps alpha in float32, so only its rule is taken: max(x, 0) + alpha * min(x, 0).
    return onnx_node("Relu", inputs) - layer.negative_slope * onnx_node("Relu", [-inputs[0]])


def softmax(layer: Any, inputs: Sequence[Array], weights: Weights) -> Array:
    return onnx_node("Softmax", inputs, axis=layer.axis)


def accuracy(layer: Any, inputs: Sequence[Array], weights: Weights) -> Array:
    right = 0
    for scores, label in zip(inputs[0], weights["labels"].ravel().astype(int), strict=True):
        others = [float(s.item()) for c, s in enumerate(scores) if c != label]
        right += sum(s >= scores[label].item() for s in others) < layer.topk
    return np.asarray(right / max(len(inputs[0]), 1))


def concat(layer: Any, inputs: Sequence[Array], weights: Weights) -> Array:
    return onnx_node("Concat", inputs, axis=layer.axis)


def dropout(layer: Any, inputs: Sequence[Array], weights: Weights) -> Array:
    return onnx_node("Identity", inputs)


def flatten(layer: Any, inputs: Sequence[Array], weights: Weights) -> Array:
    """One dimension joined to the next, step by step."""
    (x,) = inputs
    axis, end_axis = (a % x.ndim for a in (layer.axis, layer.end_axis))
    for _ in range(end_axis - axis):
        x = x.reshape(*x.shape[:axis], x.shape[axis] * x.shape[axis + 1], *x.shape[axis + 2 :])
    return x


def eltwise(layer: Any, inputs: Sequence[Array], weights: Weights) -> Array:
    if layer.operation in ("sum", "mean"):
        factors = layer.coeff or [1.0] * len(inputs)
        total = functools.reduce(operator.add, [x * f for x, f in zip(inputs, factors, strict=True)])
        return total / len(inputs) if layer.operation == "mean" else total
    if layer.operation == "prod":
        return functools.reduce(operator.mul, inputs)
    return onnx_node({"max": "Max", "min": "Min", "sub": "Sub", "div": "Div", "pow": "Pow"}[layer.operation], inputs)


def prelu(layer: Any, inputs: Sequence[Array], weights: Weights) -> Array:
    slopes = weights["slope"].reshape(-1, *[1] * (inputs[0].ndim - 2))
    return onnx_node("PRelu", [inputs[0], np.broadcast_to(slopes, inputs[0].shape).copy()])


def scale(layer: Any, inputs: Sequence[Array], weights: Weights) -> Array:
    """Loops over the places that the factors belong to."""
    x = inputs[0].copy()
    terms = {"scale": inputs[1]} if len(inputs) == 2 else {}
    terms |= weights
    before = (slice(None),) * (layer.axis % x.ndim)
    for name in ("scale", "bias"):
        if name in terms and terms[name].size == 1:
            x = x * terms[name].item() if name == "scale" else x + terms[name].item()
        elif name in terms:
            for place in np.ndindex(terms[name].shape):
                x[(*before, *place)] = (
                    x[(*before, *place)] * terms[name][place]
                    if name == "scale"
                    else (x[(*before, *place)] + terms[name][place])
                )
    return x


ORACLES: dict[str, Callable[[Any, Sequence[Array], Weights], Array | tuple[Array, ...]]] = {
    "accuracy": accuracy,
    "batchnorm": batch_norm,
    "concat": concat,
    "convolution": convolution,
    "dropout": dropout,
    "eltwise": eltwise,
    "flatten": flatten,
    "fullyconnected": fully_connected,
    "lrn": lrn,
    "pooling": pooling,
    "prelu": prelu,
    "relu": relu,
    "scale": scale,
    "softmax": softmax,
    **ELEMENTWISE,
    **MOVING,
    **IMAGES,
    **REDUCING,
    **DETECTION,
    **REPEATING,
}
