"""The table of layers that have a form in ONNX."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cnnrt_export_onnx import channel_rules as channels
from cnnrt_export_onnx import detection_rules as detection
from cnnrt_export_onnx import move_rules as moves
from cnnrt_export_onnx import value_rules as values
from cnnrt_export_onnx import window_rules as windows
from cnnrt_export_onnx.model_builder import LayerWriter

RULES: Mapping[str, Callable[[LayerWriter], None]] = {
    "AbsVal": values.plain("Abs"),
    "ArgMax": channels.arg_max,
    "BatchNorm": channels.batch_norm,
    "ChannelShuffle": moves.channel_shuffle,
    "Clip": values.clip,
    "Concat": moves.concat,
    "Constant": moves.stored,
    "Convolution": windows.convolution,
    "Crop": moves.crop,
    "Deconvolution": windows.deconvolution,
    "CumulativeSum": moves.cumulative_sum,
    "DepthToSpace": moves.depth_to_space,
    "Dropout": moves.same,
    "ELU": values.elu,
    "Eltwise": values.eltwise,
    "Exp": values.exponential,
    "Expand": moves.expand,
    "Flatten": moves.reshape,
    "FullyConnected": channels.fully_connected,
    "GELU": values.gelu,
    "Gather": moves.gather,
    "GroupNorm": channels.group_norm,
    "HardSigmoid": values.hard_sigmoid,
    "HardSwish": values.plain("HardSwish"),
    "InstanceNorm": channels.instance_norm,
    "Interp": moves.interp,
    "LRN": channels.lrn,
    "LayerNorm": channels.layer_norm,
    "Log": values.logarithm,
    "LogSoftmax": channels.softmax,
    "MatMul": channels.mat_mul,
    "Mish": values.plain("Mish"),
    "PReLU": values.prelu,
    "Pad": moves.pad,
    "Permute": moves.permute,
    "Pooling": windows.pooling,
    "Power": values.power,
    "PriorBox": moves.stored,
    "ReLU": values.relu,
    "Reduction": channels.reduction,
    "Reshape": moves.reshape,
    "Resize": moves.resize,
    "SELU": values.selu,
    "Scale": values.scale,
    "Sigmoid": values.plain("Sigmoid"),
    "Slice": moves.cut,
    "Softmax": channels.softmax,
    "Softplus": values.plain("Softplus"),
    "Softsign": values.plain("Softsign"),
    "SpaceToDepth": moves.space_to_depth,
    "Split": moves.same,
    "StridedSlice": moves.strided_slice,
    "Swish": values.swish,
    "TanH": values.tanh,
    "Threshold": values.threshold,
    "Tile": moves.tile,
    "Unary": values.unary,
    "YoloBoxes": detection.yolo_boxes,
}
ADVICE: Mapping[str, str] = {
    "Accuracy": "leave it out: it compares answers with labels",
    "DetectionOutput": "export the network without it and decode the boxes outside",
    "MaxUnpool": "ONNX's MaxUnpool takes places as integers, which cnnrt does not have",
}
