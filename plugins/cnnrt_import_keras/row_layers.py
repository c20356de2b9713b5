"""Layers of one dimension: a sequence (steps, channels) is an image of one row, and the layer of images does the work.

Between such layers values stay as they lie here, channels first, so that nothing is moved at run time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

from cnnrt.channels_last.constants import Constant
from cnnrt.channels_last.network import Network
from cnnrt.channels_last.regions import pad, reduce
from cnnrt.channels_last.reshaping import expand, without_axis
from cnnrt.channels_last.values import FAILED, Flow, shape_words
from cnnrt_import_keras import arranging_layers, window_layers
from cnnrt_import_keras.keras_layer import KerasLayer

_Rule = Callable[[Network, KerasLayer, Sequence[Flow]], Flow]
# Settings that are one number along the row, and what the same is for rows where there is one.
_ALONG: Mapping[str, int] = {"strides": 1, "dilation_rate": 1, "pool_size": 1, "size": 1, "output_padding": 0}


def pool_all(net: Network, layer: KerasLayer, inputs: Sequence[Flow]) -> Flow:
    """GlobalAveragePooling1D and GlobalMaxPooling1D."""
    kind = "max" if "Max" in layer.kind else "mean"
    return reduce(net, layer.place, inputs[0], kind, (_steps(layer),), keep=layer.flag("keepdims", False))


def _of_rows(rule: _Rule) -> _Rule:
    def of_sequences(net: Network, layer: KerasLayer, inputs: Sequence[Flow]) -> Flow:
        value = inputs[0]
        if value.failed:
            return value
        if value.rank != 2:
            shown = shape_words((None, *(value.item or ())))
            expected = "sequences: (batch, steps, channels)"
            return net.problem(layer.place, f"an input of shape {shown}", expected=expected)
        rows = _steps(layer)
        image = expand(net, layer.part("row"), value, rows)
        inner = _widened(net, layer)
        if inner.get("padding") == "causal":
            image, inner = _looking_back(net, layer, image, inner)
        made = rule(net, inner, [image])
        return without_axis(net, layer.place, made, rows)

    return of_sequences


def _steps(layer: KerasLayer) -> int:
    """Return the axis of the steps, counted with the batch; an image has its row in front of it."""
    return 1 if layer.channels_last else 2


def _widened(net: Network, layer: KerasLayer) -> KerasLayer:
    """Return the layer of images that does the same to an image of one row."""
    settings: dict[str, Any] = dict(layer.settings)
    for name, of_rows in _ALONG.items():
        value = layer.get(name)
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if isinstance(value, int):
            settings[name] = [of_rows, value]
        elif value is not None:
            net.problem(layer.place, f"{name} is {str(value)[:60]!r}", expected="one number")
    for name in ("padding", "cropping"):
        if layer.kind in ("ZeroPadding1D", "Cropping1D"):
            settings[name] = [[0, 0], _both_ends(layer.get(name, 1))]
    settings.setdefault("pool_size", [1, 2])
    settings.setdefault("size", [1, 2])
    stored = tuple(_as_image(constant) for constant in layer.stored)
    return attrs.evolve(
        layer, name=f"{layer.name}/image", title=layer.title or layer.name, settings=settings, stored=stored
    )


def _both_ends(value: object) -> object:
    return value if isinstance(value, list) else [value, value]


def _as_image(constant: Constant) -> Constant:
    """Return kernels of a row as those of an image; biases stay."""
    return constant.reshaped((1, *constant.shape)) if len(constant.shape) == 3 else constant


def _looking_back(net: Network, layer: KerasLayer, image: Flow, inner: KerasLayer) -> tuple[Flow, KerasLayer]:
    """Put zeros in front, as many as the kernel reaches back, and let the windows lie inside."""
    kernel = inner.stored[0].shape if inner.stored else ()
    back = (kernel[1] - 1) * inner.pair("dilation_rate", (1, 1))[1] if len(kernel) == 4 else 0
    pads = [(0, 0), (back, 0), (0, 0)] if layer.channels_last else [(0, 0), (0, 0), (back, 0)]
    padded = FAILED if image.failed else pad(net, layer.part("causal"), image, pads)
    return padded, attrs.evolve(inner, settings={**inner.settings, "padding": "valid"})


RULES: Mapping[str, _Rule] = {
    "Conv1D": _of_rows(window_layers.convolve),
    "Conv1DTranspose": _of_rows(window_layers.deconvolve),
    "DepthwiseConv1D": _of_rows(window_layers.convolve_depthwise),
    "SeparableConv1D": _of_rows(window_layers.convolve_separable),
    "AveragePooling1D": _of_rows(window_layers.pool),
    "MaxPooling1D": _of_rows(window_layers.pool),
    "GlobalAveragePooling1D": pool_all,
    "GlobalMaxPooling1D": pool_all,
    "ZeroPadding1D": _of_rows(arranging_layers.zero_padding),
    "Cropping1D": _of_rows(arranging_layers.crop),
    "UpSampling1D": _of_rows(arranging_layers.upsample),
}
