"""Convolutions and poolings.

Keras 2 and 3 store kernels as (rows, columns, inputs, outputs), Keras 1 so for TensorFlow's order of axes and as
(outputs, inputs, rows, columns) for Theano's. Files that were trained on Theano hold kernels for true convolutions,
which are mirrored here.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np

from cnnrt.channels_last.arithmetic import combine
from cnnrt.channels_last.constants import Constant
from cnnrt.channels_last.network import Network
from cnnrt.channels_last.regions import reduce
from cnnrt.channels_last.values import FAILED, Flow
from cnnrt.channels_last.windows import Sliding, convolution, deconvolution, depthwise_convolution, pooling
from cnnrt_import_keras.keras_layer import KerasLayer
from cnnrt_import_keras.value_layers import activated, inner_place

# Axes of stored kernels that are (outputs, inputs, rows, columns), (channels, multiplier, rows, columns) and (inputs,
# outputs, rows, columns).
_OIHW, _CMHW, _IOHW = (3, 2, 0, 1), (2, 3, 0, 1), (3, 2, 0, 1)
_AS_STORED = (0, 1, 2, 3)


def convolve(net: Network, layer: KerasLayer, inputs: Sequence[Flow]) -> Flow:
    """Conv2D, with groups where the kernels are for fewer channels."""
    weights = layer.weights(_roles(layer, "kernel"))
    sliding = _sliding(net, layer)
    if weights is None or sliding is None:
        return FAILED
    kernels = _turned(layer, weights["kernel"])
    axes = _AS_STORED if layer.version < (2, 0) and not layer.channels_last else _OIHW
    made = convolution(net, layer.part("product"), inputs[0], kernels, axes, sliding)
    return _finished(net, layer, made, weights.get("bias"))


def convolve_depthwise(net: Network, layer: KerasLayer, inputs: Sequence[Flow]) -> Flow:
    """DepthwiseConv2D."""
    weights = layer.weights(_roles(layer, "kernel"))
    sliding = _sliding(net, layer)
    if weights is None or sliding is None:
        return FAILED
    made = depthwise_convolution(net, layer.part("product"), inputs[0], weights["kernel"], _CMHW, sliding)
    return _finished(net, layer, made, weights.get("bias"))


def convolve_separable(net: Network, layer: KerasLayer, inputs: Sequence[Flow]) -> Flow:
    """SeparableConv2D: each channel by itself, then all of each pixel."""
    weights = layer.weights(_roles(layer, "depthwise kernel", "pointwise kernel"))
    sliding = _sliding(net, layer)
    if weights is None or sliding is None:
        return FAILED
    by_channel = weights["depthwise kernel"]
    first = depthwise_convolution(net, layer.part("depthwise"), inputs[0], by_channel, _CMHW, sliding)
    pixel = Sliding("valid", channels_last=sliding.channels_last)
    made = convolution(net, layer.part("product"), first, weights["pointwise kernel"], _OIHW, pixel)
    return _finished(net, layer, made, weights.get("bias"))


def deconvolve(net: Network, layer: KerasLayer, inputs: Sequence[Flow]) -> Flow:
    """Conv2DTranspose; kernels are stored as (rows, columns, outputs, inputs)."""
    weights = layer.weights(_roles(layer, "kernel"))
    sliding = _sliding(net, layer)
    if weights is None or sliding is None:
        return FAILED
    kernels = _turned(layer, weights["kernel"])
    size = None
    if layer.get("output_padding") is not None:
        sizes = inputs[0].sizes
        if inputs[0].failed:
            return FAILED
        if sizes is None or len(sizes) != 3 or len(kernels.shape) != 4:
            return net.unknown_shape(layer.place)
        size = _padded_size(layer, sizes, kernels.shape[:2], sliding)
    made = deconvolution(net, layer.part("product"), inputs[0], kernels, _IOHW, sliding, size)
    return _finished(net, layer, made, weights.get("bias"))


def _padded_size(
    layer: KerasLayer, sizes: tuple[int, ...], kernel: tuple[int, ...], sliding: Sliding
) -> tuple[int, int]:
    image = sizes[:2] if sliding.channels_last else sizes[1:]
    found = []
    for n, k, step, gap, more in zip(
        image, kernel, sliding.stride, sliding.dilation, layer.pair("output_padding", (0, 0)), strict=True
    ):
        reach = (k - 1) * gap + 1
        cut = 2 * (reach // 2) if sliding.padding == "same" else 0
        found.append((n - 1) * step + reach - cut + more)
    return found[0], found[1]


def pool(net: Network, layer: KerasLayer, inputs: Sequence[Flow]) -> Flow:
    """MaxPooling2D and AveragePooling2D; a window moves by its own size unless strides are stated."""
    kernel = layer.pair("pool_size", (2, 2))
    padding = _padding(net, layer)
    if padding is None:
        return FAILED
    sliding = Sliding(
        "same" if padding == "same" else "valid", layer.pair("strides", kernel), (1, 1), layer.channels_last
    )
    kind = "max" if layer.kind.startswith("Max") else "mean"
    return pooling(net, layer.place, inputs[0], kind, kernel, sliding)


def pool_all(net: Network, layer: KerasLayer, inputs: Sequence[Flow]) -> Flow:
    """GlobalAveragePooling2D and GlobalMaxPooling2D."""
    kind = "max" if "Max" in layer.kind else "mean"
    axes = (1, 2) if layer.channels_last else (2, 3)
    return reduce(net, layer.place, inputs[0], kind, axes, keep=layer.flag("keepdims", False))


def _roles(layer: KerasLayer, *kernels: str) -> tuple[str, ...]:
    return (*kernels, "bias") if layer.flag("use_bias", True) else kernels


def _turned(layer: KerasLayer, kernels: Constant) -> Constant:
    """Return kernels mirrored where they were trained on Theano, whose convolution mirrors them."""
    if layer.backend != "theano" or len(kernels.shape) != 4:
        return kernels
    first = 2 if layer.version < (2, 0) and not layer.channels_last else 0
    return attrs.evolve(
        kernels, read=lambda: np.flip(kernels.array(), (first, first + 1)).reshape(-1), name=f"{kernels.name}, mirrored"
    )


def _sliding(net: Network, layer: KerasLayer) -> Sliding | None:
    padding = _padding(net, layer)
    if padding is None:
        return None
    stride, dilation = layer.pair("strides", (1, 1)), layer.pair("dilation_rate", (1, 1))
    return Sliding("same" if padding == "same" else "valid", stride, dilation, layer.channels_last)


def _padding(net: Network, layer: KerasLayer) -> str | None:
    padding = layer.text("padding", "valid").lower()
    if padding in ("same", "valid"):
        return padding
    net.problem(layer.place, f"padding {padding!r:.40}", expected="same or valid")
    return None


def _finished(net: Network, layer: KerasLayer, made: Flow, bias: Constant | None) -> Flow:
    """Add the bias, where there is one, and apply the activation."""
    place = inner_place(layer)
    if made.failed or made.step is None:
        return FAILED
    if bias is None:
        made.step.name, made.step.names = place.name, [place.name]
    else:
        if not layer.channels_last and made.rank == 3:
            bias = bias.reshaped((*bias.shape, 1, 1))
        made = combine(net, place, "sum", made, bias)
    return activated(net, layer, made)
