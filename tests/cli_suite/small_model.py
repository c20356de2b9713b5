"""A network of three classes, small enough to be written and run in every test of the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netfile_spec import InputBlock, NetFile, layer, write_model

SHAPE = (1, 8, 8)
LABELS = ("ant", "bee", "cat")


def parameters(seed: int = 5) -> dict[str, dict[str, NDArray[Any]]]:
    """Return seeded weights of the convolution and the fully connected layer."""
    generator = np.random.default_rng(seed)

    def normal(*shape: int) -> NDArray[np.float32]:
        return generator.standard_normal(shape, np.float32)

    return {
        "conv": {"weight": normal(2, 1, 3, 3), "bias": normal(2)},
        "score": {"weight": normal(3, 18), "bias": normal(3)},
    }


def netfile(**stated: Any) -> NetFile:
    """Return the NetFile: convolution with a ReLU, pooling, three scores, softmax. `stated` adds or replaces keys."""
    layers = (
        layer("Convolution", "conv"),
        layer("ReLU", "relu"),
        layer("Pooling", "pool", pool="max", kernel_size=2, stride=2),
        layer("FullyConnected", "score"),
        layer("Softmax", "prob"),
    )
    block = InputBlock(name="data", shape=SHAPE, channel_order="gray", scale=1 / 256)
    return NetFile(**{"layers": layers, "inputs": (block,), "netfile_version": 1, "labels": LABELS, **stated})


def write_small_model(folder: Path, **stated: Any) -> Path:
    """Write the model into `folder` and return its NetFile's path."""
    return write_model(folder, netfile(**stated), parameters())
