"""Sections with weights or windows.

Sizes and the order of weights: `make_..._layer` and `load_..._weights` of Darknet.
"""

from __future__ import annotations

import math

from cnnrt.layer import Array
from cnnrt_import_darknet.activations import activate, activation_of
from cnnrt_import_darknet.cfg import Section
from cnnrt_import_darknet.network import Maker, Network, Value, failed
from netfile_spec import Value as KeyValue

NORM_EPSILON = 1e-6
"""Darknet on a CPU divides by sqrt(variance) + 1e-6; its CUDA code, and later versions, by sqrt(variance + 1e-5)."""
_LARGEST = 2**31 - 1


def convolutional(network: Network, section: Section) -> Value:
    """Make a Convolution, the BatchNorm that `batch_normalize` stands for, and the activation."""
    activation = activation_of(section, "logistic")
    filters = section.integer("filters", 1, least=1)
    size = section.integer("size", 1, least=1)
    stride = section.integer("stride", 1, least=1)
    strides = (section.integer("stride_y", stride, least=1), section.integer("stride_x", stride, least=1))
    padding = section.integer("padding", 0)
    if section.flag("pad"):
        padding = size // 2
    groups = section.integer("groups", 1, least=1)
    dilation = section.integer("dilation", 1, least=1)
    for key in ("antialiasing", "binary", "xnor", "share_index", "flipped", "dontload", "dontloadscales"):
        if section.flag(key):
            section.problem(f"{key} is not supported", key)
    value = network.value
    if dilation > 1 and 2 * padding != size - 1:
        section.problem(
            "dilation with a padding that is not half of the kernel", "dilation", expected="pad=1, odd size"
        )
    if value.failed or not _is_image(section, value):
        return failed(section, (filters, 1, 1))
    channels, *image = value.shape
    if channels % groups or filters % groups:
        message = f"{groups} groups do not divide {channels} channels and {filters} filters"
        section.problem(message, "groups")
        return failed(section, (filters, 1, 1))
    sizes = _sizes(section, image, strides, 2 * padding - size)
    if sizes is None:
        return failed(section, (filters, 1, 1))
    keys: dict[str, KeyValue] = {}
    if padding:
        keys["pad"] = padding * dilation
    if strides != (1, 1):
        keys["stride"] = strides[0] if strides[0] == strides[1] else strides
    if dilation > 1:
        keys["dilation"] = dilation
    if groups > 1:
        keys["group"] = groups
    bias = network.weights.take(filters)
    norm = _norm(network, bias, filters) if section.flag("batch_normalize") else None
    weights = {"weight": network.weights.take(filters, channels // groups, size, size)}
    if norm is None:
        weights["bias"] = bias
    result = network.add("Convolution", f"conv_{section.number}", [value], (filters, *sizes), keys, weights)
    return activate(network, section, _normalised(network, section, result, norm), activation)


def connected(network: Network, section: Section) -> Value:
    """Make a FullyConnected, the BatchNorm that `batch_normalize` stands for, and the activation."""
    activation = activation_of(section, "logistic")
    outputs = section.integer("output", 1, least=1)
    value = network.value
    if value.failed:
        return failed(section, (outputs,))
    inputs = math.prod(value.shape)
    bias = network.weights.take(outputs)
    weights: dict[str, Maker] = {}
    if network.weights.transposed:
        stored = network.weights.take(inputs, outputs)
        weights["weight"] = lambda: _transposed(stored)
    else:
        weights["weight"] = network.weights.take(outputs, inputs)
    norm = _norm(network, bias, outputs) if section.flag("batch_normalize") else None
    if norm is None:
        weights["bias"] = bias
    result = network.add("FullyConnected", f"connected_{section.number}", [value], (outputs,), {}, weights)
    return activate(network, section, _normalised(network, section, result, norm), activation)


def maxpool(network: Network, section: Section) -> Value:
    """Make a Pooling of maxima; Darknet puts half of the padding, rounded down, before the image."""
    return _pool(network, section, "max")


def local_avgpool(network: Network, section: Section) -> Value:
    """Make a Pooling of means over real pixels."""
    return _pool(network, section, "mean")


def avgpool(network: Network, section: Section) -> Value:
    """Make a Pooling of the mean of each channel."""
    value = network.value
    if value.failed or not _is_image(section, value):
        return failed(section, (value.shape[0], 1, 1))
    keys: dict[str, KeyValue] = {"pool": "mean", "global_pooling": True}
    return network.add("Pooling", f"avgpool_{section.number}", [value], (value.shape[0], 1, 1), keys)


def _pool(network: Network, section: Section, kind: str) -> Value:
    stride = section.integer("stride", 1, least=1)
    strides = (section.integer("stride_y", stride, least=1), section.integer("stride_x", stride, least=1))
    size = section.integer("size", stride, least=1)
    padding = section.integer("padding", size - 1)
    for key in ("antialiasing", "maxpool_depth"):
        if section.flag(key):
            section.problem(f"{key} is not supported", key)
    value = network.value
    if value.failed or not _is_image(section, value):
        return failed(section, value.shape)
    if padding >= 2 * size:
        section.problem(f"padding={padding}", "padding", expected=f"less than twice the size {size}")
        return failed(section, value.shape)
    sizes = _sizes(section, value.shape[1:], strides, padding - size)
    if sizes is None:
        return failed(section, value.shape)
    keys: dict[str, KeyValue] = {"pool": kind, "kernel_size": size, "ceil_mode": False}
    before, after = padding // 2, padding - padding // 2
    if padding:
        keys["pad"] = before if before == after else (before, before, after, after)
    if strides != (1, 1):
        keys["stride"] = strides[0] if strides[0] == strides[1] else strides
    if kind == "mean" and padding:
        keys["count_include_pad"] = False
    return network.add("Pooling", f"{section.type}_{section.number}", [value], (value.shape[0], *sizes), keys)


def _is_image(section: Section, value: Value) -> bool:
    if len(value.shape) == 3:
        return True
    section.problem("takes images, but the layer before gives features", expected="a layer that gives images")
    return False


def _sizes(
    section: Section, image: tuple[int, ...] | list[int], strides: tuple[int, int], surplus: int
) -> tuple[int, ...] | None:  # fmt: skip
    """Return rows and columns of the output: (n + surplus) / stride + 1, rounded down."""
    sizes = tuple((n + surplus) // stride + 1 for n, stride in zip(image, strides, strict=True))
    if all(0 < n <= _LARGEST for n in sizes):
        return sizes
    section.problem(f"its window does not fit the image of {image[0]}×{image[1]}", "size")
    return None


def _norm(network: Network, bias: Maker, channels: int) -> dict[str, Maker]:
    """Take what a normalisation has stored behind the bias, which is its shift."""
    scale, mean, variance = (network.weights.take(channels) for _ in range(3))
    return {"mean": mean, "variance": variance, "scale": scale, "shift": bias}


def _normalised(network: Network, section: Section, value: Value, norm: dict[str, Maker] | None) -> Value:
    if norm is None:
        return value
    return network.add("BatchNorm", f"bn_{section.number}", [value], value.shape, {"epsilon": NORM_EPSILON}, norm)


def _transposed(stored: Maker) -> Array:
    return stored().T.copy()
