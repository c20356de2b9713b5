"""Layers that arrange values: Flatten, Reshape, Permute, padding, cropping, upsampling."""

from __future__ import annotations

import math
from collections.abc import Sequence

from cnnrt.channels_last import reshaping
from cnnrt.channels_last.network import Network
from cnnrt.channels_last.regions import pad, resize, strided_slice
from cnnrt.channels_last.values import FAILED, Flow
from cnnrt.channels_last.windows import Sliding, image
from cnnrt_import_keras.keras_layer import KerasLayer
from netfile_spec import Value as KeyValue


def flatten(net: Network, layer: KerasLayer, inputs: Sequence[Flow]) -> Flow:
    """Flatten; since Keras 2.1 images with channels first are flattened with channels last."""
    value = inputs[0]
    if value.failed:
        return value
    if value.sizes is None:
        return net.unknown_shape(layer.place)
    if "data_format" in layer.settings and not layer.channels_last and value.rank == 3:
        value = reshaping.transpose(net, layer.part("channels_last"), value, (0, 2, 3, 1))
    return reshaping.reshape_item(net, layer.place, value, (math.prod(value.sizes or ()),))


def reshape(net: Network, layer: KerasLayer, inputs: Sequence[Flow]) -> Flow:
    """Reshape of each item."""
    return reshaping.reshape(net, layer.place, inputs[0], (None, *layer.integers("target_shape")), None)


def permute(net: Network, layer: KerasLayer, inputs: Sequence[Flow]) -> Flow:
    """Permute: axes of an item, counted from 1."""
    return reshaping.transpose(net, layer.place, inputs[0], (0, *layer.integers("dims")))


def zero_padding(net: Network, layer: KerasLayer, inputs: Sequence[Flow]) -> Flow:
    """ZeroPadding2D."""
    top, bottom, left, right = layer.sides("padding")
    rows_columns = [(top, bottom), (left, right)]
    pads = [*rows_columns, (0, 0)] if layer.channels_last else [(0, 0), *rows_columns]
    return pad(net, layer.place, inputs[0], pads)


def crop(net: Network, layer: KerasLayer, inputs: Sequence[Flow]) -> Flow:
    """Cropping2D."""
    top, bottom, left, right = layer.sides("cropping")
    cuts = [(top, -bottom or None, 1), (left, -right or None, 1)]
    whole = (None, None, 1)
    return strided_slice(net, layer.place, inputs[0], [*cuts, whole] if layer.channels_last else [whole, *cuts])


def upsample(net: Network, layer: KerasLayer, inputs: Sequence[Flow]) -> Flow:
    """UpSampling2D by whole factors."""
    value = image(net, layer.place, inputs[0], Sliding("valid", channels_last=layer.channels_last))
    rows, columns = layer.pair("size", (2, 2))
    mode = layer.text("interpolation", "nearest")
    if mode not in ("nearest", "bilinear"):
        return net.problem(layer.place, f"interpolation {mode!r:.40}", expected="nearest or bilinear")
    if min(rows, columns) < 1:
        return net.problem(layer.place, f"factors {rows} and {columns}")
    keys: dict[str, KeyValue] = {"scale": (float(rows), float(columns))}
    if mode == "nearest":
        keys |= {"coordinates": "asymmetric", "rounding": "floor"}
    else:
        keys["mode"] = "linear"
        if (0, 0) < layer.version < (2, 3):
            # Before TensorFlow 2, pixels were laid corner to corner of the first.
            keys["coordinates"] = "asymmetric"
    return net.layer(layer.place, "Resize", [value], keys, item=_channels_only(value))


def resize_image(net: Network, layer: KerasLayer, inputs: Sequence[Flow]) -> Flow:
    """Resizing to a stated size, without cropping."""
    mode = layer.text("interpolation", "bilinear")
    size = layer.integer("height", 0), layer.integer("width", 0)
    if mode not in ("nearest", "bilinear") or min(size) < 1 or layer.flag("crop_to_aspect_ratio", False):
        return net.problem(
            layer.place, f"interpolation {mode!r:.40}, size {size}", expected="nearest or bilinear, no crop"
        )
    if inputs[0].failed:
        return FAILED
    return resize(net, layer.place, inputs[0], "linear" if mode == "bilinear" else mode, size, half_pixel=True)


def _channels_only(value: Flow) -> tuple[int | None, ...] | None:
    if value.item is None:
        return None
    return tuple(n if axis == value.order[0] else None for axis, n in enumerate(value.item))
