"""The operators that are read, the rule for each, and advice for those that are missing."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence

import attrs

from cnnrt.channels_last import graph_rules
from cnnrt.channels_last.graph_rules import Context, Operand, Result
from cnnrt_import_tensorflow import arranging_rules, value_rules, window_rules
from cnnrt_import_tensorflow.nodes import Node


@attrs.frozen
class Rule:
    """How an operator is read: the rule, and how many inputs it takes (most None: any number)."""

    apply: Callable[[Context, Node, Sequence[Operand]], Result]
    least: int = 1
    most: int | None = 1


RULES: dict[str, Rule] = {
    **dict.fromkeys(value_rules.PAIRS, Rule(value_rules.pair, 2, 2)),
    **dict.fromkeys(value_rules.SINGLE, Rule(value_rules.single)),
    **dict.fromkeys(value_rules.ACTIVATIONS, Rule(value_rules.activate)),
    **dict.fromkeys(arranging_rules.REDUCTIONS, Rule(arranging_rules.reduce, 2, 2)),
    **dict.fromkeys(
        (
            "CheckNumerics",
            "EnsureShape",
            "Identity",
            "IdentityN",
            "PlaceholderWithDefault",
            "PreventGradient",
            "ReadVariableOp",
            "Snapshot",
            "StopGradient",
        ),
        Rule(arranging_rules.identity, 1, None),
    ),
    **dict.fromkeys(("Conv2D", "DepthwiseConv2dNative"), Rule(window_rules.convolve, 2, 2)),
    **dict.fromkeys(("MaxPool", "AvgPool"), Rule(window_rules.pool)),
    **dict.fromkeys(("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"), Rule(value_rules.normalise, 5, 5)),
    **dict.fromkeys(("Softmax", "LogSoftmax"), Rule(value_rules.probabilities)),
    **dict.fromkeys(("MatMul", "BatchMatMul", "BatchMatMulV2"), Rule(value_rules.multiply_matrix, 2, 2)),
    **dict.fromkeys(("ResizeBilinear", "ResizeNearestNeighbor"), Rule(value_rules.scale_image, 2, 2)),
    **dict.fromkeys(("Concat", "ConcatV2"), Rule(arranging_rules.join, 2, None)),
    **dict.fromkeys(("Pad", "MirrorPad"), Rule(arranging_rules.pad, 2, 2)),
    **dict.fromkeys(("DepthToSpace", "SpaceToDepth"), Rule(arranging_rules.rearrange)),
    "AddN": Rule(graph_rules.total, 1, None),
    "ArgMax": Rule(graph_rules.find_largest, 2, 2),
    "BatchNormWithGlobalNormalization": Rule(value_rules.normalise, 5, 5),
    "BatchToSpaceND": Rule(window_rules.put_together, 3, 3),
    "BiasAdd": Rule(value_rules.add_bias, 2, 2),
    "BiasAddV1": Rule(value_rules.add_bias, 2, 2),
    "Cast": Rule(arranging_rules.cast),
    "Conv2DBackpropInput": Rule(window_rules.deconvolve, 3, 3),
    "ExpandDims": Rule(graph_rules.expand, 2, 2),
    "Fill": Rule(graph_rules.fill, 2, 2),
    "Gather": Rule(graph_rules.gather, 2, 2),
    "GatherV2": Rule(graph_rules.gather, 2, 3),
    "LRN": Rule(value_rules.response_normalise),
    "LeakyRelu": Rule(value_rules.leaky),
    "Pack": Rule(arranging_rules.pack, 1, None),
    "PadV2": Rule(arranging_rules.pad, 3, 3),
    "Pow": Rule(graph_rules.power, 2, 2),
    "Reshape": Rule(arranging_rules.reshape, 2, 2),
    "Shape": Rule(graph_rules.shape_of),
    "Slice": Rule(graph_rules.slice_plain, 3, 3),
    "SpaceToBatchND": Rule(window_rules.take_apart, 3, 3),
    "Split": Rule(arranging_rules.split, 2, 2),
    "SplitV": Rule(arranging_rules.split, 3, 3),
    "SquaredDifference": Rule(graph_rules.squared_difference, 2, 2),
    "Squeeze": Rule(arranging_rules.squeeze),
    "StridedSlice": Rule(arranging_rules.slice_strided, 4, 4),
    "Tile": Rule(graph_rules.repeat, 2, 2),
    "Transpose": Rule(graph_rules.transpose, 2, 2),
}

FRONT_END = frozenset(
    {
        "AudioSpectrogram",
        "DecodeBmp",
        "DecodeGif",
        "DecodeImage",
        "DecodeJpeg",
        "DecodePng",
        "DecodeRaw",
        "DecodeWav",
        "Mfcc",
    }
)
"""Operators that turn files and sound into numbers: what they give is an input of the network here."""

LEFT_ALONE = frozenset(
    {
        "Assert",
        "Assign",
        "AssignVariableOp",
        "Const",
        "HistogramSummary",
        "ImageSummary",
        "MergeSummary",
        "MergeV2Checkpoints",
        "NoOp",
        "Placeholder",
        "PlaceholderWithDefault",
        "Print",
        "ReadVariableOp",
        "RestoreV2",
        "SaveV2",
        "ScalarSummary",
        "ShardedFilename",
        "VarHandleOp",
        "VarIsInitializedOp",
        "Variable",
        "VariableV2",
    }
)
"""Operators whose values are no outputs of a network, even where nothing reads them."""

_QUANTISED = "quantised graphs are not read: save the model in floating point"
_BRANCHES = "what is only chosen while a network runs is not read: save the model for inference, with its choices made"
_SEQUENCE = "recurrent networks are not read"
_DETECTION = "cut the graph off before it (its inputs are the network's results), and do this step after the network"
_ADVICE = {
    **dict.fromkeys(("Enter", "Exit", "Merge", "NextIteration", "Switch", "LoopCond", "If", "While"), _BRANCHES),
    **dict.fromkeys(("StatelessIf", "StatelessWhile"), _BRANCHES),
    **dict.fromkeys(("QuantizeV2", "Dequantize", "QuantizedConv2D", "QuantizedMatMul"), _QUANTISED),
    **dict.fromkeys(("FakeQuantWithMinMaxVars", "FakeQuantWithMinMaxArgs"), _QUANTISED),
    **dict.fromkeys(("TensorArrayV3", "TensorArrayReadV3", "BlockLSTM", "CudnnRNN"), _SEQUENCE),
    **dict.fromkeys(("NonMaxSuppressionV2", "NonMaxSuppressionV3", "NonMaxSuppressionV5", "TopKV2"), _DETECTION),
    "CropAndResize": _DETECTION,
    "Conv3D": "convolutions of volumes are not read",
    "Erfc": "if it is a GELU that is written out: convert the file of Keras, which names it",
    "HashTableV2": "give labels with --labels",
    "PartitionedCall": "the function that it calls is missing from the file, or calls itself",
    "StatefulPartitionedCall": "the function that it calls is missing from the file, or calls itself",
    "RandomUniform": "save the model in inference mode: this is a dropout that is still on",
    "VariableV2": "freeze the graph, or give the saved_model.pb with its folder `variables` beside it",
    "VarHandleOp": "freeze the graph, or give the saved_model.pb with its folder `variables` beside it",
}


def advice(op: str) -> str:
    """Return what to do about an operator that is not supported, where anything is known to help."""
    near = difflib.get_close_matches(op[:60], RULES, n=1, cutoff=0.85)
    return _ADVICE.get(op) or (f"the nearest that is supported is {near[0]}" if near else "")
