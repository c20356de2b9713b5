"""What CNNdroid can say of each layer: its keys, and where its code computed something else than Caffe and cnnrt.

Sources: CNNdroid's developers' guide and its code. Convolution rounded its output size up; padding was right for one
or two groups; padded maxima read out of bounds; the last window of a pooling was not clipped at the edge.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cnnrt.exporter import ExportedNetwork
from cnnrt.graph import Node
from netfile_spec import Value

Keys = Mapping[str, Value]
KNOWN = ("Convolution", "Pooling", "LRN", "FullyConnected", "ReLU", "Softmax")


def keys_of(node: Node) -> Keys:
    """Return the keys of a layer, all of them stated: CNNdroid's defaults are not relied upon."""
    layer: Any = node.layer
    if layer.type == "Convolution":
        return {"pad": layer.pad[0], "stride": layer.stride[0], "group": layer.group}
    if layer.type == "Pooling":
        keys = {"kernel_size": layer.kernel_size[0], "pad": layer.pad[0], "stride": layer.stride[0]}
        return {"pool": layer.pool, **keys}
    if layer.type == "LRN":
        keys = {"local_size": layer.local_size, "alpha": layer.alpha, "beta": layer.beta}
        return {**keys, "norm_region": layer.norm_region}
    return {}


def obstacles(node: Node, network: ExportedNetwork) -> Iterator[str]:
    """Yield what of a layer CNNdroid cannot express, or would compute otherwise."""
    layer: Any = node.layer
    if layer.type not in KNOWN:
        yield f"there is no such layer; it has {', '.join(KNOWN)}"
        return
    shape = network.shape(node.inputs[0])
    if layer.type in ("Convolution", "Pooling"):
        yield from _window_obstacles(node, network)
    elif layer.type == "LRN" and layer.k != 1:
        yield f"k is {layer.k:g}; it is always 1"
    elif layer.type == "LRN" and layer.norm_region != "across_channels":
        yield "norm_region is within_channel; it is always across_channels"
    elif layer.type == "FullyConnected" and layer.axis % len(shape) != 1:
        yield f"axis is {layer.axis}; it is always 1"
    elif layer.type == "ReLU" and layer.negative_slope != 0:
        yield f"negative_slope is {layer.negative_slope:g}; it is always 0"
    elif layer.type == "Softmax" and layer.axis % len(shape) != 1:
        yield f"axis is {layer.axis}; it is always 1"


def _window_obstacles(node: Node, network: ExportedNetwork) -> Iterator[str]:
    layer: Any = node.layer
    rows, columns = network.shape(node.inputs[0])[2:]
    pooled = layer.type == "Pooling"
    if pooled and (layer.global_pooling or layer.mask or layer.pool not in ("max", "mean")):
        yield "it is global, of a norm, or gives places; it has max and mean over a window"
        return
    kernel = layer.kernel_size if pooled else network.shapes.weights[node.name]["weight"][2:]
    for key, pair in (("pad", layer.pad), ("stride", layer.stride), ("kernel", kernel)):
        if len(set(pair)) > 1:
            yield f"{key} differs between rows and columns, or between sides; it is one number"
    if layer.dilation != (1, 1):
        yield "dilation is not 1; it is always 1"
    whole = all((n + 2 * layer.pad[0] - k) % layer.stride[0] == 0 for n, k in zip((rows, columns), kernel, strict=True))
    if not pooled and any(layer.pad) and layer.group > 2:
        yield "its padding is wrong for more than two groups"
    if not pooled and not whole:
        yield "its windows leave rows or columns over, where its code gives one row or column more"
    if pooled and layer.pool == "max" and any(layer.pad):
        yield "its code reads out of bounds where maxima are padded"
    if pooled and not layer.ceil_mode and not whole:
        yield "ceil_mode is false, where its code rounds the size up"
    if pooled and not layer.count_include_pad and any(layer.pad):
        yield "count_include_pad is false; it always counts"


def reaches_over(node: Node, network: ExportedNetwork) -> bool:
    """Tell whether the last window of a pooling reaches over the edge, where CNNdroid's code did not clip it."""
    layer: Any = node.layer
    if layer.type != "Pooling":
        return False
    return any(
        (n + 2 * layer.pad[0] - layer.kernel_size[0]) % layer.stride[0] for n in network.shape(node.inputs[0])[2:]
    )
