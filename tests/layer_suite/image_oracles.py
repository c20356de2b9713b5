"""Layers that give images another size once more: by ONNX's reference evaluator, or pixel by pixel."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cnnrt.layer import Array
from layer_suite.onnx_evaluator import onnx_node

Weights = Mapping[str, Array]


def deconvolution(layer: Any, inputs: Sequence[Array], weights: Weights) -> Array:
    """Every pixel lays its kernels onto a canvas without borders, which is cut at the end."""
    (x,), weight = inputs, weights["weight"]
    images, channels, height, width = x.shape
    _, made, kernel_rows, kernel_columns = weight.shape
    (down, across), (apart_r, apart_s) = layer.stride, layer.dilation
    rows = (height - 1) * down + apart_r * (kernel_rows - 1) + 1 + layer.output_pad[0]
    columns = (width - 1) * across + apart_s * (kernel_columns - 1) + 1 + layer.output_pad[1]
    canvas = np.zeros((images, made * layer.group, rows, columns))
    for c, i, j in itertools.product(range(channels), range(height), range(width)):
        first = c // (channels // layer.group) * made
        window = canvas[
            :,
            first : first + made,
            i * down : i * down + apart_r * (kernel_rows - 1) + 1 : apart_r,
            j * across : j * across + apart_s * (kernel_columns - 1) + 1 : apart_s,
        ]
        window += x[:, c, i, j].reshape(-1, 1, 1, 1) * weight[c]
    if "bias" in weights:
        canvas += weights["bias"].reshape(-1, 1, 1)
    top, left, bottom, right = layer.pad
    return canvas[:, :, top : rows - bottom, left : columns - right]


def resize(layer: Any, inputs: Sequence[Array], weights: Weights) -> Array:
    """One matrix for rows and one for columns, place by place; ONNX's evaluator keeps scales in float32."""
    x = inputs[0]
    if layer.scale:
        scales = layer.scale[0], layer.scale[-1]
        sizes = [int(size * scale) for size, scale in zip(x.shape[2:], scales, strict=True)]
    else:
        sizes = list(layer.size or inputs[1].shape[2:])
        scales = sizes[0] / x.shape[2], sizes[1] / x.shape[3]
    rows, columns = (
        np.array([_shares(layer, place, places, size, scale) for place in range(places)])
        for places, size, scale in zip(sizes, x.shape[2:], scales, strict=True)
    )
    return rows @ x @ columns.T


def _shares(layer: Any, place: int, places: int, size: int, scale: float) -> list[float]:
    """Return how much of each value of the input a place of the output holds."""
    if layer.coordinates == "align_corners":
        at = place * (size - 1) / (places - 1) if places > 1 else 0.0
    elif layer.coordinates == "asymmetric":
        at = place / scale
    else:
        at = (place + 0.5) / scale - 0.5
        if layer.coordinates == "pytorch_half_pixel" and places == 1:
            at = 0.0
    low = math.floor(at)
    if layer.mode == "nearest":
        middle = at == low + 0.5
        chosen = {
            "floor": low,
            "ceil": math.ceil(at),
            "round_prefer_floor": low if middle else math.floor(at + 0.5),
            "round_prefer_ceil": math.floor(at + 0.5),
        }[layer.rounding]
        taps = {chosen: 1.0}
    elif layer.mode == "linear":
        taps = {low: 1 - (at - low), low + 1: at - low}
    else:
        a = layer.cubic_coeff
        taps = {}
        for tap in range(low - 1, low + 3):
            d = abs(at - tap)
            near, far = (a + 2) * d**3 - (a + 3) * d**2 + 1, a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a
            taps[tap] = near if d <= 1 else far if d < 2 else 0.0
        if layer.exclude_outside:
            taps = {tap: share for tap, share in taps.items() if 0 <= tap < size}
            taps = {tap: share / sum(taps.values()) for tap, share in taps.items()}
    result = [0.0] * size
    for tap, share in taps.items():
        result[min(max(tap, 0), size - 1)] += share
    return result


def interp(layer: Any, inputs: Sequence[Array], weights: Weights) -> Array:
    x = inputs[0][:, :, -layer.pad_beg :, -layer.pad_beg :]
    x = x[:, :, : x.shape[2] + layer.pad_end, : x.shape[3] + layer.pad_end]
    if len(inputs) == 2:
        sizes = inputs[1].shape[2:]
    elif layer.height:
        sizes = layer.height, layer.width
    else:
        shrunk = [(size - 1) // layer.shrink_factor + 1 for size in x.shape[2:]]
        sizes = [size + (size - 1) * (layer.zoom_factor - 1) for size in shrunk]
    result = np.empty((*x.shape[:2], *sizes))
    for i, j in itertools.product(*map(range, sizes)):
        a, b = (
            at * (size - 1) / (places - 1) if places > 1 else 0.0
            for at, size, places in zip((i, j), x.shape[2:], sizes, strict=True)
        )
        top, left = int(a), int(b)
        bottom, right = min(top + 1, x.shape[2] - 1), min(left + 1, x.shape[3] - 1)
        above = x[:, :, top, left] * (1 - (b - left)) + x[:, :, top, right] * (b - left)
        below = x[:, :, bottom, left] * (1 - (b - left)) + x[:, :, bottom, right] * (b - left)
        result[:, :, i, j] = above * (1 - (a - top)) + below * (a - top)
    return result


def depth_to_space(layer: Any, inputs: Sequence[Array], weights: Weights) -> Array:
    return onnx_node("DepthToSpace", inputs, blocksize=layer.block, mode=layer.mode)


def space_to_depth(layer: Any, inputs: Sequence[Array], weights: Weights) -> Array:
    (x,), block, channels = inputs, layer.block, inputs[0].shape[1]
    parts = [x[:, c, a::block, b::block] for c, a, b in itertools.product(range(channels), *[range(block)] * 2)]
    if layer.mode == "DCR":
        parts = [parts[c * block**2 + place] for place in range(block**2) for c in range(channels)]
    return np.stack(parts, axis=1)


def channel_shuffle(layer: Any, inputs: Sequence[Array], weights: Weights) -> Array:
    groups = np.split(inputs[0], layer.group, axis=1)
    return np.stack([group[:, k] for k in range(groups[0].shape[1]) for group in groups], axis=1)


def max_unpool(layer: Any, inputs: Sequence[Array], weights: Weights) -> Array:
    values, places = inputs[:2]
    if len(inputs) == 3:
        sizes = inputs[2].shape[2:]
    elif layer.size:
        sizes = layer.size
    else:
        top, left, bottom, right = layer.pad
        sizes = [
            (count - 1) * stride + kernel - cut
            for count, stride, kernel, cut in zip(
                values.shape[2:], layer.stride, layer.kernel_size, (top + bottom, left + right), strict=True
            )
        ]
    result = np.zeros((*values.shape[:2], *sizes))
    for place in np.ndindex(values.shape):
        if 0 <= places[place] < math.prod(sizes):
            row, column = divmod(int(places[place]), sizes[1])
            result[(*place[:2], row, column)] = values[place]
    return result


def roi_pooling(layer: Any, inputs: Sequence[Array], weights: Weights) -> Array:
    """Fast R-CNN's loops, in its words."""
    features, rois = inputs
    _, channels, height, width = features.shape
    result = np.zeros((len(rois), channels, layer.pooled_h, layer.pooled_w))
    for n, roi in enumerate(rois):
        if not 0 <= roi[0] < len(features):
            result[n] = math.nan
            continue
        x1, y1, x2, y2 = (_round(float(v) * layer.spatial_scale) for v in roi[1:])
        bin_h, bin_w = max(y2 - y1 + 1, 1) / layer.pooled_h, max(x2 - x1 + 1, 1) / layer.pooled_w
        for ph, pw in itertools.product(range(layer.pooled_h), range(layer.pooled_w)):
            rows = range(max(0, math.floor(ph * bin_h) + y1), min(height, math.ceil((ph + 1) * bin_h) + y1))
            columns = range(max(0, math.floor(pw * bin_w) + x1), min(width, math.ceil((pw + 1) * bin_w) + x1))
            for c in range(channels):
                seen = [features[int(roi[0]), c, row, column] for row in rows for column in columns]
                result[n, c, ph, pw] = max(seen, default=0.0)
    return result


def _round(value: float) -> int:
    return int(math.copysign(math.floor(abs(value) + 0.5), value))


IMAGES = {
    "channelshuffle": channel_shuffle,
    "deconvolution": deconvolution,
    "depthtospace": depth_to_space,
    "interp": interp,
    "maxunpool": max_unpool,
    "resize": resize,
    "roipooling": roi_pooling,
    "spacetodepth": space_to_depth,
}
