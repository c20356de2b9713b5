"""The operators that are read: how many inputs they take, the attributes that they have, and the rule for each.

What is missing is named with advice where there is any.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable

import attrs

from cnnrt_import_onnx import join_rules, layer_rules
from cnnrt_import_onnx.findings import Findings
from cnnrt_import_onnx.layer_rules import Inputs
from cnnrt_import_onnx.nodes import OnnxNode
from cnnrt_import_onnx.values import Made
from cnnrt_import_onnx.window_pads import WINDOW_ATTRIBUTES

OLDEST_OPSET = 7
NEWEST_OPSET = 28
"""Operator sets between which the operators below mean what the rules say."""


@attrs.frozen
class Rule:
    """How an operator is read; the rule gets `most` inputs, None for each that is left out (most None: those given).

    `attributes`: those that are read, or that change nothing in inference.
    """

    convert: Callable[[OnnxNode, Inputs, Findings], Made | None]
    least: int = 1
    most: int | None = 1
    attributes: tuple[str, ...] = ()


RULES = {
    "AveragePool": Rule(layer_rules.pooling, attributes=(*WINDOW_ATTRIBUTES, "ceil_mode", "count_include_pad")),
    "BatchNormalization": Rule(
        layer_rules.batch_normalisation, 5, 5, ("epsilon", "momentum", "spatial", "training_mode")
    ),
    "Concat": Rule(join_rules.concatenation, 1, None, ("axis",)),
    "Conv": Rule(layer_rules.convolution, 2, 3, (*WINDOW_ATTRIBUTES, "group")),
    "Dropout": Rule(layer_rules.dropout, 1, 3, ("ratio", "seed")),
    "Gemm": Rule(layer_rules.gemm, 2, 3, ("alpha", "beta", "transA", "transB")),
    "GlobalAveragePool": Rule(layer_rules.global_pooling),
    "GlobalMaxPool": Rule(layer_rules.global_pooling),
    "LRN": Rule(layer_rules.lrn, attributes=("alpha", "beta", "bias", "size")),
    "LeakyRelu": Rule(layer_rules.relu, attributes=("alpha",)),
    "MatMul": Rule(layer_rules.matrix_product, 2, 2),
    "MaxPool": Rule(layer_rules.pooling, attributes=(*WINDOW_ATTRIBUTES, "ceil_mode", "storage_order")),
    "Relu": Rule(layer_rules.relu),
    "Softmax": Rule(layer_rules.softmax, attributes=("axis",)),
    "Sum": Rule(join_rules.total, 1, None),
}
"""Operators that a rule makes a layer of, from their inputs alone."""

ARRANGING = {"Add": (2, 2), "Constant": (0, 0), "Flatten": (1, 1), "Identity": (1, 1), "Reshape": (2, 2)}
"""Operators that the walk over the graph treats itself (see graph.py): least and most inputs."""

SUPPORTED = tuple(sorted((*RULES, *ARRANGING)))

_SHAPES = "it computes a shape: export the model with fixed sizes, or simplify it (onnxsim), which leaves constants"
_QUANTISED = "quantised models are not read: export the model in floating point"
_SUBGRAPH = "what is only chosen while a network runs is not read: export the model traced, with its choices made"
_ADVICE = {
    **dict.fromkeys(("Cast", "ConstantOfShape", "Expand", "Gather", "Range", "Shape", "Size", "Unsqueeze"), _SHAPES),
    **dict.fromkeys(("DequantizeLinear", "DynamicQuantizeLinear", "QLinearConv", "QuantizeLinear"), _QUANTISED),
    **dict.fromkeys(("If", "Loop", "Scan"), _SUBGRAPH),
    "Clip": "where it is a ReLU6 no layer does the same; a network trained with ReLU is needed",
    "PRelu": "the nearest that is supported is LeakyRelu, with one slope for all channels",
    "ReduceMean": "over rows and columns it is a GlobalAveragePool: replace it",
}


def advice(op: str, domain: str) -> str:
    """Return what to do about an operator that is not supported, where anything is known to help."""
    if domain:
        if domain == "com.microsoft":
            return "it was made by an optimiser for one engine: convert the model as it was exported, before that"
        return "only the operators of ONNX itself are read"
    near = difflib.get_close_matches(op[:60], SUPPORTED, n=1, cutoff=0.85)
    return _ADVICE.get(op) or (f"did you mean {near[0]}?" if near else "")
