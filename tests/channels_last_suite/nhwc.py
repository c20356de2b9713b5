"""Channels-last operators in plain NumPy, by TensorFlow's definitions: what the importers' results are compared with.

They share no code with the project: each output value is computed from its own window, in float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


def _windows(
    x: Array, kernel: tuple[int, int], stride: tuple[int, int], padding: str, dilation: tuple[int, int], fill: float
) -> tuple[Array, tuple[int, int]]:
    """Return the image with padding, and how many windows there are."""
    pads, counts = [], []
    for size, k, s, d in zip(x.shape[1:3], kernel, stride, dilation, strict=True):
        reach = (k - 1) * d + 1
        count = math.ceil(size / s) if padding == "SAME" else math.ceil((size - reach + 1) / s)
        total = max((count - 1) * s + reach - size, 0) if padding == "SAME" else 0
        pads.append((total // 2, total - total // 2))
        counts.append(count)
    return np.pad(x.astype(np.float64), ((0, 0), *pads, (0, 0)), constant_values=fill), (counts[0], counts[1])


def _slide(
    x: Array,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: str,
    dilation: tuple[int, int],
    fill: float,
    of_window: Callable[[Array], Array],
) -> Array:
    padded, (rows, columns) = _windows(x, kernel, stride, padding, dilation, fill)
    out = []
    for i in range(rows):
        for j in range(columns):
            top, left = i * stride[0], j * stride[1]
            down, across = (kernel[0] - 1) * dilation[0] + 1, (kernel[1] - 1) * dilation[1] + 1
            out.append(of_window(padded[:, top : top + down : dilation[0], left : left + across : dilation[1]]))
    return np.stack(out, 1).reshape(len(x), rows, columns, -1)


def conv(
    x: Array,
    kernels: Array,
    stride: tuple[int, int] = (1, 1),
    padding: str = "SAME",
    dilation: tuple[int, int] = (1, 1),
) -> Array:
    """Convolve with kernels (rows, columns, inputs, outputs)."""
    rows, columns = kernels.shape[:2]
    return _slide(x, (rows, columns), stride, padding, dilation, 0, lambda w: np.einsum("nhwc,hwco->no", w, kernels))


def depthwise(x: Array, kernels: Array, stride: tuple[int, int] = (1, 1), padding: str = "SAME") -> Array:
    """Convolve each channel with its own kernels (rows, columns, channels, multiplier)."""
    rows, columns = kernels.shape[:2]

    def of_window(w: Array) -> Array:
        return np.einsum("nhwc,hwcm->ncm", w, kernels).reshape(len(w), -1)

    return _slide(x, (rows, columns), stride, padding, (1, 1), 0, of_window)


def deconv(x: Array, kernels: Array, stride: tuple[int, int], size: tuple[int, int], padding: str) -> Array:
    """Transposed convolution with kernels (rows, columns, outputs, inputs): the gradient of `conv` by its image."""
    out = np.zeros((len(x), *size, kernels.shape[2]))
    pads = []
    for n, k, s in zip(size, kernels.shape[:2], stride, strict=True):
        count = math.ceil(n / s) if padding == "SAME" else math.ceil((n - k + 1) / s)
        pads.append(max((count - 1) * s + k - n, 0) // 2 if padding == "SAME" else 0)
    for i, j in np.ndindex(*x.shape[1:3]):
        for r, c in np.ndindex(*kernels.shape[:2]):
            row, column = i * stride[0] + r - pads[0], j * stride[1] + c - pads[1]
            if 0 <= row < size[0] and 0 <= column < size[1]:
                out[:, row, column] += x[:, i, j] @ kernels[r, c].T
    return out


def max_pool(x: Array, kernel: tuple[int, int], stride: tuple[int, int], padding: str) -> Array:
    """Pool by the maximum of the real pixels."""
    return _slide(x, kernel, stride, padding, (1, 1), -np.inf, lambda w: w.max((1, 2)))


def mean_pool(x: Array, kernel: tuple[int, int], stride: tuple[int, int], padding: str) -> Array:
    """Pool by the mean of the real pixels."""
    return _slide(x, kernel, stride, padding, (1, 1), np.nan, lambda w: np.nanmean(w, (1, 2)))


def softmax(x: Array) -> Array:
    """Softmax along the last axis."""
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def to_nchw(x: Array) -> Array:
    """Return what cnnrt gives for a value: images channels first, all else alike."""
    return x.transpose(0, 3, 1, 2) if x.ndim == 4 else x
