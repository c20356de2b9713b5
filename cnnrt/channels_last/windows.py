"""Convolutions and poolings: windows that slide over the rows and columns of an image.

TensorFlow's SAME padding makes the output as large as the input divided by the stride, rounded up; an odd pixel goes
to the end (tensorflow.org/api_docs/python/tf/nn, notes on padding). With a stride it depends on the size of the
image.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import attrs

from cnnrt.channels_last.axis_order import in_order
from cnnrt.channels_last.constants import Constant
from cnnrt.channels_last.network import Network
from cnnrt.channels_last.values import FAILED, IMAGE_ORDER, INPUT, Flow, Place, Weight, shape_words
from netfile_spec import Value as KeyValue

Padding = Literal["same", "valid"] | tuple[int, int, int, int]
"""SAME, VALID, or rows and columns put around the image: top, left, bottom, right."""
_LARGEST = 1 << 31


@attrs.frozen
class Sliding:
    """How windows lie: padding, and strides and dilations of rows and columns. `channels_last`: axes of the source."""

    padding: Padding
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    channels_last: bool = True


def convolution(
    net: Network, place: Place, value: Flow, kernels: Constant, to_oihw: tuple[int, ...], sliding: Sliding
) -> Flow:
    """Convolve with kernels whose axes `to_oihw` are outputs, inputs, rows, columns; groups follow from the inputs."""
    value = image(net, place, value, sliding)
    shape = _kernel_shape(net, place, kernels, to_oihw)
    if value.failed or shape is None:
        return FAILED
    outputs, taken, *extent = shape
    channels = value.item[value.order[0]] if value.item else None
    keys = _keys(net, place, value, sliding, (extent[0], extent[1]))
    if channels is not None and channels != taken:
        if channels < taken or channels % taken or outputs % (channels // taken):
            return net.problem(place, f"kernels for {taken} channels of an image that has {channels}")
        keys["group"] = channels // taken
    weight = kernels.weight(shape, lambda k: k.transpose(to_oihw), to_oihw)
    return _of_images(net, place, "Convolution", value, keys, {"weight": weight}, outputs)


def depthwise_convolution(
    net: Network, place: Place, value: Flow, kernels: Constant, to_cmhw: tuple[int, ...], sliding: Sliding
) -> Flow:
    """Convolve each channel with kernels of its own.

    Their axes `to_cmhw` are channels, kernels of each, rows, columns.
    """
    value = image(net, place, value, sliding)
    shape = _kernel_shape(net, place, kernels, to_cmhw)
    if value.failed or shape is None:
        return FAILED
    channels, multiplier, *extent = shape
    keys = _keys(net, place, value, sliding, (extent[0], extent[1]))
    if channels != 1:
        keys["group"] = channels
    outputs = channels * multiplier
    weight = kernels.weight(
        (outputs, 1, *extent), lambda k: k.transpose(to_cmhw).reshape(outputs, 1, *extent), "depthwise", to_cmhw
    )
    return _of_images(net, place, "Convolution", value, keys, {"weight": weight}, outputs)


def deconvolution(
    net: Network,
    place: Place,
    value: Flow,
    kernels: Constant,
    to_iohw: tuple[int, ...],
    sliding: Sliding,
    size: tuple[int, int] | None = None,
) -> Flow:
    """Transposed convolution with kernels whose axes `to_iohw` are inputs, outputs, rows, columns.

    `size`: rows and columns of the output, where the source states them; else input times stride (SAME), or what the
    windows cover (VALID).
    """
    value = image(net, place, value, sliding)
    shape = _kernel_shape(net, place, kernels, to_iohw)
    if value.failed or shape is None or value.item is None:
        return FAILED
    _, outputs, *extents = shape
    rows_columns = (value.item[value.order[1]], value.item[value.order[2]])
    if None in rows_columns and size is not None:
        return net.unknown_shape(place)
    pads = []
    for i, (n, kernel) in enumerate(zip(rows_columns, extents, strict=True)):
        stride, reach = sliding.stride[i], (kernel - 1) * sliding.dilation[i] + 1
        # What the windows cover beyond the wanted size is cut off; where they cover less, zeros follow.
        surplus = max(reach - stride, 0) if sliding.padding == "same" else 0
        missing = max(stride - reach, 0)
        if size is not None and n is not None:
            covered = (n - 1) * stride + reach
            surplus, missing = max(covered - size[i], 0), max(size[i] - covered, 0)
            if sliding.padding == "valid" and surplus:
                return net.problem(place, f"a size of {size[i]}, but its windows cover {covered}")
        before = surplus // 2 if sliding.padding in ("same", "valid") else 0
        pads.append((before, surplus - before, missing))
    keys: dict[str, KeyValue] = {}
    (top, bottom, below), (left, right, beyond) = pads
    if isinstance(sliding.padding, tuple):
        top, left, bottom, right = sliding.padding
    if any((top, left, bottom, right)):
        keys["pad"] = _shortest((top, left)) if (top, left) == (bottom, right) else (top, left, bottom, right)
    for key, pair in (("stride", sliding.stride), ("dilation", sliding.dilation)):
        if pair != (1, 1):
            keys[key] = _shortest(pair)
    if below or beyond:
        keys["output_pad"] = _shortest((below, beyond))
    weight = kernels.weight(shape, lambda k: k.transpose(to_iohw), to_iohw)
    return _of_images(net, place, "Deconvolution", value, keys, {"weight": weight}, outputs)


def pooling(net: Network, place: Place, value: Flow, kind: str, kernel: tuple[int, int], sliding: Sliding) -> Flow:
    """Pool by `kind`, "max" or "mean"; padding counts in neither."""
    value = image(net, place, value, sliding)
    if value.failed:
        return value
    if min(kernel) < 1 or max(kernel) >= _LARGEST:
        return net.problem(place, f"windows of {list(kernel)}")
    if sliding.dilation != (1, 1):
        return net.problem(place, f"dilations {list(sliding.dilation)}", hint="no layer of cnnrt pools with gaps")
    keys = {"pool": kind, "kernel_size": _shortest(kernel), **_keys(net, place, value, sliding, kernel)}
    keys["ceil_mode"] = False
    if kind == "mean" and "pad" in keys:
        keys["count_include_pad"] = False
    channels = value.item[value.order[0]] if value.item else None
    return _of_images(net, place, "Pooling", value, keys, {}, channels)


def image(net: Network, place: Place, value: Flow, sliding: Sliding) -> Flow:
    """Return the value as an image, channels first here; an input of unknown shape becomes one."""
    order = IMAGE_ORDER if sliding.channels_last else (0, 1, 2)
    if value.failed:
        return value
    if value.item is None and value.step is not None and value.step.type == INPUT:
        value.step.item = (None, None, None)
        return Flow(value.step, (None, None, None), order)
    if value.item is None:
        return net.unknown_shape(place)
    if value.rank != 3:
        shown = shape_words((None, *value.item))
        return net.problem(place, f"an input of shape {shown}", expected="images: (batch, rows, columns, channels)")
    return in_order(net, place, value, order)


def _of_images(
    net: Network,
    place: Place,
    kind: str,
    value: Flow,
    keys: Mapping[str, KeyValue],
    weights: Mapping[str, Weight],
    channels: int | None,
) -> Flow:
    item: list[int | None] = [None, None, None]
    item[value.order[0]] = channels
    return net.layer(place, kind, [value], keys, weights, item=tuple(item))


def _kernel_shape(net: Network, place: Place, kernels: Constant, axes: tuple[int, ...]) -> tuple[int, ...] | None:
    if kernels.kind == "float" and len(kernels.shape) == 4 and 0 not in kernels.shape:
        return tuple(kernels.shape[axis] for axis in axes)
    net.problem(
        place, f"kernels of shape {shape_words(kernels.shape)}, {kernels.kind}", expected="four axes of float numbers"
    )
    return None


def _keys(net: Network, place: Place, value: Flow, sliding: Sliding, kernel: tuple[int, int]) -> dict[str, KeyValue]:
    """Return the keys of a layer's windows that differ from their defaults."""
    keys: dict[str, KeyValue] = {}
    for what, pair in (("strides", sliding.stride), ("dilations", sliding.dilation)):
        if not all(1 <= n < _LARGEST for n in pair):
            net.problem(place, f"{what} {list(pair)}", expected="at least 1 each")
            return keys
    pad = sliding.padding if isinstance(sliding.padding, tuple) else (0, 0, 0, 0)
    if sliding.padding == "same":
        pad = _same(net, place, value, sliding, kernel)
    if any(pad):
        top, left, bottom, right = pad
        keys["pad"] = _shortest((top, left)) if (top, left) == (bottom, right) else pad
    for key, pair in (("stride", sliding.stride), ("dilation", sliding.dilation)):
        if pair != (1, 1):
            keys[key] = _shortest(pair)
    return keys


def _same(
    net: Network, place: Place, value: Flow, sliding: Sliding, kernel: tuple[int, int]
) -> tuple[int, int, int, int]:
    item = value.item or (None, None, None)
    before, after = [0, 0], [0, 0]
    for i, size in enumerate((item[value.order[1]], item[value.order[2]])):
        extent, stride = sliding.dilation[i] * (kernel[i] - 1) + 1, sliding.stride[i]
        if stride == 1:
            total = extent - 1
        elif size is None:
            net.problem(
                place,
                "padding SAME with a stride depends on the size of the image, which is unknown",
                hint="save the model with the rows and columns of its input, or with explicit padding",
            )
            return 0, 0, 0, 0
        else:
            total = max(0, (-(-size // stride) - 1) * stride + extent - size)
        before[i], after[i] = total // 2, total - total // 2
    return before[0], before[1], after[0], after[1]


def _shortest(pair: tuple[int, int]) -> KeyValue:
    return pair[0] if pair[0] == pair[1] else pair
