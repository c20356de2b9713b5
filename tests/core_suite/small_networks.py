"""Small networks with seeded weights, written to disk as a user's would be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnnrt.layer import Array
from netfile_spec import InputBlock, LayerBlock, Layout, NetFile, layer, write_model

Parameters = dict[str, dict[str, Array]]


def filters(seed: int, outputs: int, *rest: int, bias: bool = True) -> dict[str, Array]:
    """Return weights of a convolution or a fully connected layer that keep the size of the signal (He et al. 2015)."""
    generator = np.random.default_rng(seed)
    weight = generator.standard_normal((outputs, *rest), dtype=np.float32) * np.float32(np.sqrt(2 / np.prod(rest)))
    tensors = {"weight": weight}
    if bias:
        tensors["bias"] = generator.standard_normal(outputs, dtype=np.float32) * np.float32(0.1)
    return tensors


def images(*shape: int, seed: int = 0) -> Array:
    """Return float32 values around 0 that depend on the shape and the seed alone."""
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def write_network(
    folder: Path,
    layers: Sequence[LayerBlock],
    parameters: Mapping[str, Mapping[str, Array]] | None = None,
    *,
    inputs: Sequence[InputBlock] = (),
    layout: Layout = "cnnrt",
    **header: Any,
) -> Path:
    """Write a network and return the path of its NetFile."""
    netfile = NetFile(layers, inputs, netfile_version=1, **header)
    return write_model(folder, netfile, parameters or {}, layout=layout)


def write_text(folder: Path, text: str, **tensors: Mapping[str, Array]) -> Path:
    """Write a NetFile as it stands, and beside it the parameter files NAME.msg; return the path of the NetFile."""
    from netfile_spec import write_parameters

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "net.netfile"
    path.write_text(text, encoding="utf-8")
    for name, arrays in tensors.items():
        write_parameters(folder / f"{name}.msg", arrays)
    return path


CHAIN = (
    layer("Convolution", "conv", pad=1),
    layer("ReLU", "relu"),
    layer("Pooling", "pool", kernel_size=2, stride=2),
    layer("Dropout", "drop"),
    layer("Flatten", "flat"),
    layer("FullyConnected", "scores"),
    layer("Softmax", "prob"),
)
"""A classifier of 3×8×8 images into 5 classes that has something for every pass."""


def chain_parameters() -> Parameters:
    return {"conv": filters(1, 4, 3, 3, 3), "scores": filters(2, 5, 64)}


def write_chain(folder: Path, *, layout: Layout = "cnnrt", stated_shape: bool = True, **header: Any) -> Path:
    """Write the chain above."""
    inputs = [InputBlock("data", (3, 8, 8))] if stated_shape else []
    return write_network(folder, CHAIN, chain_parameters(), inputs=inputs, layout=layout, **header)


def write_two_in_two_out(folder: Path) -> Path:
    """Write a network of inputs `left` (2×6×6) and `right` (3×6×6), and outputs `sum` (4×6×6) and `features` (7)."""
    layers = [
        layer("Convolution", "a", bottom="left"),
        layer("Convolution", "b", bottom="right"),
        layer("Eltwise", "sum", bottom=["a", "b"]),
        layer("FullyConnected", "features", bottom="a"),
    ]
    parameters = {
        "a": filters(1, 4, 2, 1, 1),
        "b": filters(2, 4, 3, 1, 1),
        "features": filters(3, 7, 144),
    }
    blocks = [InputBlock("left", (2, 6, 6)), InputBlock("right", (3, 6, 6))]
    return write_network(folder, layers, parameters, inputs=blocks)
