"""The operators that are read, the rule for each, and advice for those that are missing."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence

import attrs

from cnnrt.channels_last import graph_rules
from cnnrt.channels_last.graph_rules import Operand, Result
from cnnrt_import_tflite import arranging_rules, value_rules, window_rules
from cnnrt_import_tflite.operands import Context, Operator


@attrs.frozen
class Rule:
    """How an operator is read: the rule, and how many inputs it takes (most None: any number)."""

    apply: Callable[[Context, Operator, Sequence[Operand]], Result]
    least: int = 1
    most: int | None = 1


RULES: dict[str, Rule] = {
    **dict.fromkeys(value_rules.PAIRS, Rule(value_rules.pair, 2, 2)),
    **dict.fromkeys(value_rules.SINGLE, Rule(value_rules.single)),
    **dict.fromkeys(value_rules.ACTIVATIONS, Rule(value_rules.activate)),
    **dict.fromkeys(arranging_rules.REDUCTIONS, Rule(arranging_rules.reduce, 2, 2)),
    **dict.fromkeys(("DEQUANTIZE", "QUANTIZE", "CAST"), Rule(arranging_rules.identity)),
    **dict.fromkeys(("SOFTMAX", "LOG_SOFTMAX"), Rule(value_rules.probabilities)),
    **dict.fromkeys(("MAX_POOL_2D", "AVERAGE_POOL_2D"), Rule(window_rules.pool)),
    **dict.fromkeys(("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"), Rule(value_rules.scale_image, 2, 2)),
    **dict.fromkeys(("DEPTH_TO_SPACE", "SPACE_TO_DEPTH"), Rule(arranging_rules.rearrange)),
    **dict.fromkeys(("PAD", "MIRROR_PAD"), Rule(arranging_rules.pad, 2, 2)),
    "ADD_N": Rule(graph_rules.total, 1, None),
    "ARG_MAX": Rule(graph_rules.find_largest, 2, 2),
    "BATCH_TO_SPACE_ND": Rule(window_rules.put_together, 3, 3),
    "CONCATENATION": Rule(arranging_rules.join, 1, None),
    "CONV_2D": Rule(window_rules.convolve_image, 2, 3),
    "DEPTHWISE_CONV_2D": Rule(window_rules.convolve_depthwise, 2, 3),
    "EXPAND_DIMS": Rule(graph_rules.expand, 2, 2),
    "FILL": Rule(graph_rules.fill, 2, 2),
    "FULLY_CONNECTED": Rule(window_rules.multiply_matrix, 2, 3),
    "GATHER": Rule(graph_rules.gather, 2, 2),
    "GELU": Rule(value_rules.gelu),
    "LEAKY_RELU": Rule(value_rules.leaky),
    "LOCAL_RESPONSE_NORMALIZATION": Rule(value_rules.response_normalise),
    "PACK": Rule(arranging_rules.pack, 1, None),
    "PADV2": Rule(arranging_rules.pad, 3, 3),
    "POW": Rule(graph_rules.power, 2, 2),
    "PRELU": Rule(value_rules.prelu_rule, 2, 2),
    "RESHAPE": Rule(arranging_rules.reshape, 1, 2),
    "SHAPE": Rule(graph_rules.shape_of),
    "SLICE": Rule(graph_rules.slice_plain, 3, 3),
    "SPACE_TO_BATCH_ND": Rule(window_rules.take_apart, 3, 3),
    "SPLIT": Rule(arranging_rules.split, 2, 2),
    "SPLIT_V": Rule(arranging_rules.split, 3, 3),
    "SQUARED_DIFFERENCE": Rule(graph_rules.squared_difference, 2, 2),
    "SQUEEZE": Rule(arranging_rules.squeeze),
    "STRIDED_SLICE": Rule(arranging_rules.slice_strided, 4, 4),
    "TILE": Rule(graph_rules.repeat, 2, 2),
    "TRANSPOSE": Rule(graph_rules.transpose, 2, 2),
    "TRANSPOSE_CONV": Rule(window_rules.deconvolve, 3, 4),
}

_BRANCHES = "what is only chosen while a network runs is not read"
_SEQUENCE = "recurrent networks are not read"
_ADVICE = {
    **dict.fromkeys(("IF", "WHILE", "SELECT"), _BRANCHES),
    **dict.fromkeys(("LSTM", "RNN", "UNIDIRECTIONAL_SEQUENCE_LSTM"), _SEQUENCE),
    "custom operator TFLite_Detection_PostProcess": "save the model without it (its inputs are boxes and scores), and "
    "do this step after the network",
    "TOPK_V2": "save the model without it, and choose the best after the network",
}


def advice(op: str) -> str:
    """Return what to do about an operator that is not supported, where anything is known to help."""
    near = difflib.get_close_matches(op[:60], RULES, n=1, cutoff=0.85)
    return _ADVICE.get(op) or (f"the nearest that is supported is {near[0]}" if near else "")
