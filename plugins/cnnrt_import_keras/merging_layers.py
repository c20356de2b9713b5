"""Layers of several inputs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cnnrt.channels_last.arithmetic import combine
from cnnrt.channels_last.constants import Constant, constant_of
from cnnrt.channels_last.network import Network
from cnnrt.channels_last.regions import concatenate
from cnnrt.channels_last.values import FAILED, Flow, Place
from cnnrt_import_keras.keras_layer import KerasLayer

_OPERATIONS = {
    "Add": "sum",
    "Subtract": "sub",
    "Multiply": "prod",
    "Maximum": "max",
    "Minimum": "min",
    "Average": "sum",
}
MERGING = tuple(_OPERATIONS)
_OF_KERAS_1 = {"sum": "Add", "mul": "Multiply", "ave": "Average", "max": "Maximum"}


def merge(net: Network, layer: KerasLayer, inputs: Sequence[Flow]) -> Flow:
    """Add, Subtract, Multiply, Maximum, Minimum, Average."""
    return _merged(net, layer, layer.kind, inputs)


def merge_by_mode(net: Network, layer: KerasLayer, inputs: Sequence[Flow]) -> Flow:
    """Merge of Keras 1."""
    mode = layer.text("mode", "sum")
    if mode == "concat":
        return concatenate(net, layer.place, inputs, layer.integer("concat_axis", -1))
    if mode not in _OF_KERAS_1:
        return net.problem(layer.place, f"mode {mode!r:.40}", expected=f"concat, {', '.join(_OF_KERAS_1)}")
    return _merged(net, layer, _OF_KERAS_1[mode], inputs)


def _merged(net: Network, layer: KerasLayer, kind: str, inputs: Sequence[Flow]) -> Flow:
    operands: list[Flow | Constant] = list(inputs)
    for place, number in sorted(layer.numbers.items()):
        operands.insert(place, constant_of(np.array(number), layer.name))
    if len(operands) < 2:
        return net.problem(layer.place, f"{len(operands)} inputs", expected="two or more")
    result = operands[0]
    average = kind == "Average"
    for count, operand in enumerate(operands[1:], start=2):
        last = count == len(operands) and not average
        where = layer.place if last else Place(f"{layer.name}/{count}", layer.place.title)
        result = combine(net, where, _OPERATIONS[kind], result, operand)
    if average:
        result = combine(net, layer.place, "div", result, constant_of(np.array(float(len(operands))), layer.name))
    return result if isinstance(result, Flow) else FAILED


def concatenate_layer(net: Network, layer: KerasLayer, inputs: Sequence[Flow]) -> Flow:
    """Concatenate along an axis."""
    axes = layer.integers("axis") if layer.get("axis") is not None else (-1,)
    return concatenate(net, layer.place, inputs, axes[0]) if axes else FAILED
