"""Layers that repeat, pick or add up values once more, by ONNX's reference evaluator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cnnrt.layer import Array
from layer_suite.onnx_evaluator import onnx_node

Weights = Mapping[str, Array]


def expand(layer: Any, inputs: Sequence[Array], weights: Weights) -> Array:
    return onnx_node("Expand", [inputs[0], np.array(layer.shape, np.int64)])


def tile(layer: Any, inputs: Sequence[Array], weights: Weights) -> Array:
    repeats = [1] * (inputs[0].ndim - len(layer.repeats)) + list(layer.repeats)
    return onnx_node("Tile", [inputs[0], np.array(repeats, np.int64)])


def gather(layer: Any, inputs: Sequence[Array], weights: Weights) -> Array:
    return np.stack([inputs[0].take(i, axis=layer.axis) for i in layer.indices], axis=layer.axis)


def cumulative_sum(layer: Any, inputs: Sequence[Array], weights: Weights) -> Array:
    axis = np.array(layer.axis, np.int64)
    return onnx_node("CumSum", [inputs[0], axis], exclusive=int(layer.exclusive), reverse=int(layer.reverse))


REPEATING = {"cumulativesum": cumulative_sum, "expand": expand, "gather": gather, "tile": tile}
