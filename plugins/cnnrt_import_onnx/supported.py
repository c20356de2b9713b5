"""The operators that are read: how many inputs they take, the attributes that they have, and the rule for each.

What is missing is named with advice where there is any.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable

import attrs

from cnnrt.findings import Findings
from cnnrt_import_onnx import activation_rules as activations
from cnnrt_import_onnx import (
    arithmetic_rules,
    convolution_rules,
    move_rules,
    pooling_rules,
    product_rules,
    reduction_rules,
    resize_rules,
    shape_rules,
)
from cnnrt_import_onnx import normalisation_rules as normalisations
from cnnrt_import_onnx.dropout_rule import dropout
from cnnrt_import_onnx.folding import FOLDED
from cnnrt_import_onnx.nodes import OnnxNode
from cnnrt_import_onnx.unpooling_rule import max_unpooling
from cnnrt_import_onnx.values import Inputs, Outcome
from cnnrt_import_onnx.window_pads import WINDOW_ATTRIBUTES

OLDEST_OPSET = 6
NEWEST_OPSET = 28
"""Operator sets between which the operators below mean what the rules say."""


@attrs.frozen
class Rule:
    """How an operator is read; the rule gets `most` inputs, None for each that is left out (most None: those given).

    `attributes`: those that are read, or that change nothing in inference. `constants`: inputs that have to be
    constant: weights, sizes, bounds. `outputs`: how many outputs may be used, None: any.
    """

    convert: Callable[[OnnxNode, Inputs, Findings], Outcome]
    least: int = 1
    most: int | None = 1
    attributes: tuple[str, ...] = ()
    constants: tuple[int, ...] = ()
    outputs: int | None = 1


def _each(operators: Iterable[str], rule: Rule) -> dict[str, Rule]:
    return dict.fromkeys(operators, rule)


RULES = {
    **_each(activations.FUNCTIONS, Rule(activations.function)),
    **{op: Rule(activations.activation, attributes=names) for op, names in activations.ACTIVATIONS.items()},
    **_each(arithmetic_rules.OPERATIONS, Rule(arithmetic_rules.arithmetic, 1, None)),
    **_each(("Add", "Div", "Mul", "Pow", "Sub"), Rule(arithmetic_rules.pairwise, 2, 2, ("axis", "broadcast"))),
    **_each(
        reduction_rules.OPERATIONS,
        Rule(reduction_rules.reduction, 1, 2, ("axes", "keepdims", "noop_with_empty_axes"), (1,)),
    ),
    **_each(
        ("ArgMax", "ArgMin"),
        Rule(reduction_rules.place_of_extreme, attributes=("axis", "keepdims", "select_last_index")),
    ),
    **_each(("LogSoftmax", "Softmax"), Rule(activations.softmax, attributes=("axis",))),
    "AveragePool": Rule(pooling_rules.pooling, attributes=(*WINDOW_ATTRIBUTES, "ceil_mode", "count_include_pad")),
    "BatchNormalization": Rule(
        normalisations.batch_normalisation,
        5,
        5,
        ("epsilon", "is_test", "momentum", "spatial", "training_mode"),
        (1, 2, 3, 4),
    ),
    "Cast": Rule(shape_rules.cast, attributes=("round_mode", "saturate", "to")),
    "Celu": Rule(activations.celu, attributes=("alpha",)),
    "Clip": Rule(activations.clip, 1, 3, ("max", "min"), (1, 2)),
    "Concat": Rule(move_rules.concatenation, 1, None, ("axis",)),
    "Conv": Rule(convolution_rules.convolution, 2, 3, (*WINDOW_ATTRIBUTES, "group"), (1, 2)),
    "ConvTranspose": Rule(
        convolution_rules.transposed_convolution,
        2,
        3,
        (*WINDOW_ATTRIBUTES, "group", "output_padding", "output_shape"),
        (1, 2),
    ),
    "CumSum": Rule(reduction_rules.running_sum, 2, 2, ("exclusive", "reverse"), (1,)),
    "DepthToSpace": Rule(move_rules.depth_and_space, attributes=("blocksize", "mode")),
    "Dropout": Rule(dropout, 1, 3, ("is_test", "ratio", "seed"), (1, 2), None),
    "Expand": Rule(move_rules.expand, 2, 2, (), (1,)),
    "Flatten": Rule(shape_rules.flatten, attributes=("axis",)),
    "Gather": Rule(move_rules.gather, 2, 2, ("axis",), (1,)),
    "Gelu": Rule(activations.gelu, attributes=("approximate",)),
    "Gemm": Rule(product_rules.gemm, 2, 3, ("alpha", "beta", "broadcast", "transA", "transB")),
    "GlobalAveragePool": Rule(pooling_rules.global_pooling),
    "GlobalLpPool": Rule(pooling_rules.global_pooling, attributes=("p",)),
    "GlobalMaxPool": Rule(pooling_rules.global_pooling),
    "GroupNormalization": Rule(
        normalisations.group_normalisation, 3, 3, ("epsilon", "num_groups", "stash_type"), (1, 2)
    ),
    "Identity": Rule(shape_rules.identity),
    "InstanceNormalization": Rule(normalisations.instance_normalisation, 3, 3, ("epsilon",), (1, 2)),
    "LRN": Rule(normalisations.lrn, attributes=("alpha", "beta", "bias", "size")),
    "LayerNormalization": Rule(
        normalisations.layer_normalisation, 2, 3, ("axis", "epsilon", "stash_type"), (1, 2), None
    ),
    "LpNormalization": Rule(normalisations.lp_normalisation, attributes=("axis", "p")),
    "LpPool": Rule(pooling_rules.pooling, attributes=(*WINDOW_ATTRIBUTES, "ceil_mode", "p")),
    "MatMul": Rule(product_rules.matrix_product, 2, 2),
    "MaxPool": Rule(pooling_rules.pooling, attributes=(*WINDOW_ATTRIBUTES, "ceil_mode", "storage_order"), outputs=2),
    "MaxUnpool": Rule(max_unpooling, 2, 3, ("kernel_shape", "pads", "strides"), (1, 2)),
    "MeanVarianceNormalization": Rule(normalisations.mean_variance_normalisation, attributes=("axes",)),
    "Mish": Rule(activations.mish),
    "PRelu": Rule(activations.prelu, 2, 2),
    "Pad": Rule(move_rules.pad, 1, 4, ("mode", "pads", "value"), (1, 2, 3)),
    "Reshape": Rule(shape_rules.reshape, 2, 2, ("allowzero",), (1,)),
    "Resize": Rule(
        resize_rules.resize,
        1,
        4,
        (
            "antialias",
            "axes",
            "coordinate_transformation_mode",
            "cubic_coeff_a",
            "exclude_outside",
            "extrapolation_value",
            "keep_aspect_ratio_policy",
            "mode",
            "nearest_mode",
        ),
        (1, 2, 3),
    ),
    "Shape": Rule(shape_rules.shape, attributes=("end", "start")),
    "Shrink": Rule(activations.shrink, attributes=("bias", "lambd")),
    "Size": Rule(shape_rules.size),
    "Slice": Rule(move_rules.slice_, 1, 5, ("axes", "ends", "starts"), (1, 2, 3, 4)),
    "SpaceToDepth": Rule(move_rules.depth_and_space, attributes=("blocksize", "mode")),
    "Split": Rule(move_rules.split, 1, 2, ("axis", "num_outputs", "split"), (1,), None),
    "Squeeze": Rule(shape_rules.squeeze, 1, 2, ("axes",), (1,)),
    "Tile": Rule(move_rules.tile, 2, 2, (), (1,)),
    "Transpose": Rule(move_rules.transpose, attributes=("perm",)),
    "Unsqueeze": Rule(shape_rules.unsqueeze, 1, 2, ("axes",), (1,)),
    "Upsample": Rule(resize_rules.upsample, 1, 2, ("mode", "scales"), (1,)),
}
"""Operators that a rule makes layers of."""

ALONE = ("Constant", "If")
"""Operators that the walk over the graph treats itself (see graph.py)."""

SUPPORTED = tuple(sorted((*RULES, *ALONE)))
"""Operators on computed values."""

CONSTANT_ONLY = tuple(sorted(FOLDED.difference(SUPPORTED)))
"""Operators that are read where all their inputs are constants."""

_SHAPES = "it is read where its inputs are constants: export the model with fixed sizes, or simplify it (onnxsim)"
_QUANTISED = "quantised models are not read: export the model in floating point"
_SUBGRAPH = "what is only chosen while a network runs is not read: export the model traced, with its choices made"
_RECURRENT = "recurrent networks are not read"
_ADVICE = {
    **dict.fromkeys(CONSTANT_ONLY, _SHAPES),
    **dict.fromkeys(("DequantizeLinear", "DynamicQuantizeLinear", "QLinearConv", "QuantizeLinear"), _QUANTISED),
    **dict.fromkeys(("Loop", "Scan"), _SUBGRAPH),
    **dict.fromkeys(("GRU", "LSTM", "RNN"), _RECURRENT),
    **dict.fromkeys(
        ("NonMaxSuppression", "TopK"), "leave the choice of boxes out of the model: ask for what is before"
    ),
}


def advice(op: str, domain: str) -> str:
    """Return what to do about an operator that is not supported, where anything is known to help."""
    if domain:
        if domain == "com.microsoft":
            return "it was made by an optimiser for one engine: convert the model as it was exported, before that"
        return "only the operators of ONNX itself are read; a function of the model can be inlined by onnx.inliner"
    near = difflib.get_close_matches(op[:60], SUPPORTED, n=1, cutoff=0.85)
    return _ADVICE.get(op) or (f"did you mean {near[0]}?" if near else "")
