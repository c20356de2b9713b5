"""Builds networks layer by layer: blocks of a NetFile, seeded weights, and the shape of an item so far."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from cnnrt.layer import Array
from cnnrt.lazy_weights import LazyWeights
from netfile_spec import InputBlock, LayerBlock, Layout, NetFile, layer, write_model

SEED = 2016
Weights = Mapping[str, Mapping[str, Array]]


@attrs.define
class Place:
    """A value in a network: the name of the layer that gives it, and the shape of one item."""

    name: str
    shape: tuple[int, ...]


@attrs.define
class Builder:
    """A network under construction. Layers follow `at`; set it to go back and begin a branch.

    Weights are normal with the variance that keeps a signal's size through ReLUs (He et al. 2015), and the same each
    time. Those of convolutions and fully connected layers are made whenever they are looked up, and never kept.
    """

    item: tuple[int, ...]
    at: Place = attrs.field(default=attrs.Factory(lambda self: Place("data", self.item), takes_self=True))
    blocks: list[LayerBlock] = attrs.field(factory=list)
    weights: dict[str, Mapping[str, Array]] = attrs.field(factory=dict)
    _random: np.random.Generator = attrs.field(factory=lambda: np.random.default_rng(SEED))
    _counts: Counter[str] = attrs.field(factory=Counter)

    def convolution(
        self, outputs: int, kernel: int, *, stride: int = 1, pad: int = 0, group: int = 1, relu: bool = True
    ) -> Builder:
        """Add a convolution of square windows, by default with a ReLU."""
        channels, rows, _ = self.at.shape
        size = (rows + 2 * pad - kernel) // stride + 1
        name = self._add("Convolution", "conv", (outputs, size, size), stride=stride, pad=pad, group=group)
        self.weights[name] = self._filters(outputs, channels // group, kernel, kernel)
        return self.relu() if relu else self

    def fully_connected(self, outputs: int, *, relu: bool = True) -> Builder:
        """Add a fully connected layer, by default with a ReLU."""
        taken = math.prod(self.at.shape)
        name = self._add("FullyConnected", "fc", (outputs,))
        self.weights[name] = self._filters(outputs, taken)
        return self.relu() if relu else self

    def batch_norm(self, *, relu: bool = True) -> Builder:
        """Add a batch normalisation whose factors are around 1, by default with a ReLU."""
        channels = self.at.shape[0]
        name = self._add("BatchNorm", "norm", self.at.shape)
        self.weights[name] = {
            "mean": self._normal(channels, scale=0.01),
            "variance": 1 + np.abs(self._normal(channels, scale=0.05)),
            "scale": 1 + self._normal(channels, scale=0.1),
            "shift": self._normal(channels, scale=0.01),
        }
        return self.relu() if relu else self

    def pooling(self, kind: str, kernel: int, stride: int, *, pad: int = 0, ceil: bool = True) -> Builder:
        """Add a pooling, "max" or "mean" (of real pixels only)."""
        channels, rows, _ = self.at.shape
        room = rows + 2 * pad - kernel
        size = (-(-room // stride) if ceil else room // stride) + 1
        self._add(
            "Pooling",
            "pool",
            (channels, size, size),
            pool=kind,
            kernel_size=kernel,
            stride=stride,
            pad=pad,
            ceil_mode=ceil,
            count_include_pad=False,
        )
        return self

    def global_mean(self) -> Builder:
        """Add the mean of each channel, as a vector."""
        channels = self.at.shape[0]
        self._add("Pooling", "pool", (channels, 1, 1), pool="mean", global_pooling=True)
        return self.flatten()

    def flatten(self) -> Builder:
        """Make the value a vector."""
        self._add("Flatten", "flatten", (math.prod(self.at.shape),))
        return self

    def relu(self) -> Builder:
        """Add a ReLU."""
        self._add("ReLU", "relu", self.at.shape)
        return self

    def lrn(self) -> Builder:
        """Add AlexNet's local response normalisation."""
        self._add("LRN", "lrn", self.at.shape, local_size=5, alpha=1e-4, beta=0.75)
        return self

    def softmax(self) -> Builder:
        """Add a softmax."""
        self._add("Softmax", "softmax", self.at.shape)
        return self

    def concat(self, *places: Place) -> Builder:
        """Put the channels of several values side by side."""
        channels = sum(place.shape[0] for place in places)
        self._add("Concat", "concat", (channels, *places[0].shape[1:]), bottom=[place.name for place in places])
        return self

    def add(self, *places: Place) -> Builder:
        """Add several values up."""
        self._add("Eltwise", "sum", places[0].shape, bottom=[place.name for place in places])
        return self

    def scale_last(self, factor: float) -> Builder:
        """Multiply the weights of the last layer that has any."""
        last = next(reversed(self.weights))
        own = self.weights[last]
        self.weights[last] = LazyWeights({name: partial(_scaled, own, name, np.float32(factor)) for name in own})
        return self

    def netfile(self) -> NetFile:
        """Return the network as a NetFile."""
        return NetFile(self.blocks, [InputBlock("data", self.item)], netfile_version=1)

    def write(self, folder: Path, layout: Layout = "cnnrt") -> Path:
        """Write NetFile and parameter files into a folder and return the NetFile's path."""
        return write_model(folder, self.netfile(), self.weights, layout=layout)

    def _add(
        self, kind: str, stem: str, shape: tuple[int, ...], *, bottom: list[str] | None = None, **keys: Any
    ) -> str:
        self._counts[stem] += 1
        name = f"{stem}{self._counts[stem]}"
        self.blocks.append(layer(kind, name, bottom=bottom or self.at.name, **keys))
        self.at = Place(name, shape)
        return name

    def _filters(self, outputs: int, *rest: int) -> Mapping[str, Array]:
        seed = len(self.weights)
        weight = partial(_seeded, (SEED, seed, 0), (outputs, *rest), math.sqrt(2 / math.prod(rest)))
        return LazyWeights({"weight": weight, "bias": partial(_seeded, (SEED, seed, 1), (outputs,), 0.01)})

    def _normal(self, *shape: int, scale: float) -> Array:
        return self._random.standard_normal(shape, np.float32) * np.float32(scale)


def _seeded(seed: tuple[int, ...], shape: tuple[int, ...], scale: float) -> Array:
    values = np.random.default_rng(seed).standard_normal(shape, np.float32)
    values *= np.float32(scale)
    return values


def _scaled(weights: Mapping[str, Array], name: str, factor: np.float32) -> Array:
    return weights[name] * factor
