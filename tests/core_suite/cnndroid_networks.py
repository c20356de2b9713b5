"""The networks of CNNdroid's NetFiles: seeded parameters in its layout, and an answer computed without cnnrt.

The computation follows the papers and Caffe's documented rules, in float64, from the NetFile read with a few lines
of its own: it shares no code with what it judges.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import attrs
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Array = NDArray[np.float64]
Weights = dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]]

ALEXNET = {"conv1": (96, 11), "conv2": (256, 5), "conv3": (384, 3), "conv4": (384, 3), "conv5": (256, 3)}
ALEXNET |= {"fc6": (4096, 0), "fc7": (4096, 0), "fc8": (1000, 0)}
CIFAR10 = {"conv1": (32, 5), "conv2": (32, 5), "conv3": (64, 5), "ip1": (64, 0), "ip2": (10, 0)}
LENET = {"conv1": (20, 5), "conv2": (50, 5), "ip1": (500, 0), "ip2": (10, 0)}
NIN = {"conv1": (96, 11), "cccp1": (96, 1), "cccp2": (96, 1), "conv2": (256, 5), "cccp3": (256, 1), "cccp4": (256, 1)}
NIN |= {"conv3": (384, 3), "cccp5": (384, 1), "cccp6": (384, 1)}
NIN |= {"conv4-1024": (1024, 3), "cccp7-1024": (1024, 1), "cccp8-1024": (1000, 1)}


@attrs.frozen
class Network:
    """A NetFile of CNNdroid's: `sizes` are (outputs, kernel or 0) of each parameter file; the input is one image's."""

    file: str
    input: tuple[int, int, int]
    sizes: dict[str, tuple[int, int]]


NETWORKS = {
    "LeNet": Network("LeNet_def.txt", (1, 28, 28), LENET),
    "Cifar10": Network("Cifar10_def.txt", (3, 32, 32), CIFAR10),
    "NIN": Network("NIN_def.txt", (3, 227, 227), NIN),
    "AlexNet": Network("AlexNet_def.txt", (3, 227, 227), ALEXNET),
    "CaffeNet": Network("CaffeNet_def.txt", (3, 227, 227), ALEXNET),
}


def layers_of(netfile: Path) -> Iterator[dict[str, str]]:
    """Return the keys of each layer of one of CNNdroid's own NetFiles."""
    for block in re.findall(r"layer\s*\{(.*?)\}", netfile.read_text(), re.DOTALL):
        yield {key: value.strip('"') for key, value in re.findall(r'(\w+):\s*("[^"]*"|\S+)', block)}


def file_stem(keys: dict[str, str]) -> str:
    return keys["parameters_file"].removeprefix("model_param_").removesuffix(".msg")


def convolution(x: Array, weight: Array, bias: Array, pad: int, stride: int, group: int) -> Array:
    """Rows and columns that a window does not fill are left over: the output size rounds down, as in Caffe."""
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    windows = sliding_window_view(padded, weight.shape[2:], (2, 3))[:, :, ::stride, ::stride]
    parts = [
        np.tensordot(part, filters, axes=([1, 4, 5], [1, 2, 3]))
        for part, filters in zip(np.split(windows, group, 1), np.split(weight, group), strict=True)
    ]
    result: Array = np.concatenate(parts, axis=3).transpose(0, 3, 1, 2) + bias[:, None, None]
    return result


def pooling(x: Array, kind: str, size: int, stride: int) -> Array:
    """The output size rounds up, the last window ends where the image does (no padding in these networks)."""
    reduce = np.max if kind == "max" else np.mean
    counts = [-(-(n - size) // stride) + 1 for n in x.shape[2:]]
    result = np.empty((*x.shape[:2], *counts))
    for i, j in np.ndindex(*counts):
        window = x[:, :, i * stride : i * stride + size, j * stride : j * stride + size]
        if kind == "max":
            result[:, :, i, j] = reduce(window, axis=(2, 3))
        else:
            result[:, :, i, j] = window.sum(axis=(2, 3)) / window[0, 0].size
    return result


def normalisation(x: Array, size: int, alpha: float, beta: float) -> Array:
    """Local response normalisation across channels, Krizhevsky et al. 2012, with Caffe's alpha / n."""
    squares = np.pad(x**2, ((0, 0), (size // 2, size // 2), (0, 0), (0, 0)))
    sums = sliding_window_view(squares, size, axis=1).sum(axis=-1)
    result: Array = x / (1 + alpha / size * sums) ** beta
    return result


def fully_connected(x: Array, weight: NDArray[np.float32], bias: Array) -> Array:
    flat = x.reshape(len(x), -1)
    rows = np.array_split(weight, max(1, len(weight) // 512))  # so that float64 takes no second copy of it all
    return np.concatenate([flat @ w.astype(np.float64).T for w in rows], axis=1) + bias


def softmax(x: Array) -> Array:
    exponentials = np.exp(x - x.max(axis=1, keepdims=True))
    result: Array = exponentials / exponentials.sum(axis=1, keepdims=True)
    return result


def apply(keys: dict[str, str], x: Array, weights: Weights) -> Array:
    """Return one layer's output."""
    kind = keys["type"]
    if kind == "Convolution":
        weight, bias = (w.astype(np.float64) for w in weights[file_stem(keys)])
        return convolution(x, weight, bias, int(keys["pad"]), int(keys["stride"]), int(keys["group"]))
    if kind == "FullyConnected":
        matrix, biases = weights[file_stem(keys)]
        return fully_connected(x, matrix, biases.astype(np.float64))
    if kind == "Pooling":
        return pooling(x, keys["pool"], int(keys["kernel_size"]), int(keys["stride"]))
    if kind == "LRN":
        return normalisation(x, int(keys["local_size"]), float(keys["alpha"]), float(keys["beta"]))
    if kind == "ReLU":
        return np.maximum(x, 0)
    assert kind == "Softmax"
    return softmax(x)


def answer(netfile: Path, images: NDArray[np.float32], weights: Weights) -> tuple[Array, Array]:
    """Return the values before the softmax, and the probabilities."""
    x = images.astype(np.float64)
    before = x
    for keys in layers_of(netfile):
        before, x = x, apply(keys, x, weights)
    return before, x


def seeded_weights(network: Network, netfile: Path) -> Weights:
    """Return weights that keep the size of the signal from layer to layer (He et al. 2015), and biases."""
    generator = np.random.default_rng(2016)
    found: Weights = {}
    x = np.zeros((1, *network.input))
    for keys in layers_of(netfile):
        if "parameters_file" in keys:
            outputs, kernel = network.sizes[file_stem(keys)]
            shape = (outputs, x.shape[1] // int(keys["group"]), kernel, kernel) if kernel else (outputs, x[0].size)
            weight = generator.standard_normal(shape, dtype=np.float32)
            weight *= np.float32(np.sqrt(2 / np.prod(shape[1:])))
            bias = generator.standard_normal(outputs, dtype=np.float32) * np.float32(0.1)
            found[file_stem(keys)] = weight, bias
        if keys["type"] == "Convolution":
            weight = found[file_stem(keys)][0]
            pad, stride = int(keys["pad"]), int(keys["stride"])
            sizes = [(n + 2 * pad - weight.shape[2]) // stride + 1 for n in x.shape[2:]]
            x = np.broadcast_to(0.0, (1, len(weight), *sizes))
        elif keys["type"] == "FullyConnected":
            x = np.broadcast_to(0.0, (1, len(found[file_stem(keys)][0])))
        elif keys["type"] == "Pooling":
            x = pooling(np.zeros(x.shape), keys["pool"], int(keys["kernel_size"]), int(keys["stride"]))
    return found
