"""The layers that ship with cnnrt: what each one is, one in each file.

They register through the same entry point as a stranger's (see `cnnrt.hookspecs.cnnrt_layers`).
"""

from __future__ import annotations

from collections.abc import Sequence

from cnnrt.hookspecs import hookimpl
from cnnrt.layer import Layer
from cnnrt_layers.abs_val import AbsVal
from cnnrt_layers.accuracy import Accuracy
from cnnrt_layers.arg_max import ArgMax
from cnnrt_layers.batch_norm import BatchNorm
from cnnrt_layers.channel_shuffle import ChannelShuffle
from cnnrt_layers.clip import Clip
from cnnrt_layers.concat import Concat
from cnnrt_layers.constant import Constant
from cnnrt_layers.convolution import Convolution
from cnnrt_layers.crop import Crop
from cnnrt_layers.cumulative_sum import CumulativeSum
from cnnrt_layers.deconvolution import Deconvolution
from cnnrt_layers.depth_to_space import DepthToSpace
from cnnrt_layers.detection_output import DetectionOutput
from cnnrt_layers.dropout import Dropout
from cnnrt_layers.eltwise import Eltwise
from cnnrt_layers.elu import ELU
from cnnrt_layers.exp import Exp
from cnnrt_layers.expand import Expand
from cnnrt_layers.flatten import Flatten
from cnnrt_layers.fully_connected import FullyConnected
from cnnrt_layers.gather import Gather
from cnnrt_layers.gelu import GELU
from cnnrt_layers.group_norm import GroupNorm
from cnnrt_layers.hard_sigmoid import HardSigmoid
from cnnrt_layers.hard_swish import HardSwish
from cnnrt_layers.instance_norm import InstanceNorm
from cnnrt_layers.interp import Interp
from cnnrt_layers.layer_norm import LayerNorm
from cnnrt_layers.log import Log
from cnnrt_layers.log_softmax import LogSoftmax
from cnnrt_layers.lrn import LRN
from cnnrt_layers.mat_mul import MatMul
from cnnrt_layers.max_unpool import MaxUnpool
from cnnrt_layers.mish import Mish
from cnnrt_layers.mvn import MVN
from cnnrt_layers.normalize import Normalize
from cnnrt_layers.pad import Pad
from cnnrt_layers.permute import Permute
from cnnrt_layers.pooling import Pooling
from cnnrt_layers.power import Power
from cnnrt_layers.prelu import PReLU
from cnnrt_layers.prior_box import PriorBox
from cnnrt_layers.reduction import Reduction
from cnnrt_layers.relu import ReLU
from cnnrt_layers.reshape import Reshape
from cnnrt_layers.resize import Resize
from cnnrt_layers.roi_pooling import ROIPooling
from cnnrt_layers.scale import Scale
from cnnrt_layers.selu import SELU
from cnnrt_layers.sigmoid import Sigmoid
from cnnrt_layers.slice import Slice
from cnnrt_layers.softmax import Softmax
from cnnrt_layers.softplus import Softplus
from cnnrt_layers.softsign import Softsign
from cnnrt_layers.space_to_depth import SpaceToDepth
from cnnrt_layers.split import Split
from cnnrt_layers.strided_slice import StridedSlice
from cnnrt_layers.swish import Swish
from cnnrt_layers.tanh import TanH
from cnnrt_layers.threshold import Threshold
from cnnrt_layers.tile import Tile
from cnnrt_layers.unary import Unary
from cnnrt_layers.yolo_boxes import YoloBoxes

__all__ = [
    "ELU",
    "GELU",
    "LRN",
    "MVN",
    "SELU",
    "AbsVal",
    "Accuracy",
    "ArgMax",
    "BatchNorm",
    "ChannelShuffle",
    "Clip",
    "Concat",
    "Constant",
    "Convolution",
    "Crop",
    "CumulativeSum",
    "Deconvolution",
    "DepthToSpace",
    "DetectionOutput",
    "Dropout",
    "Eltwise",
    "Exp",
    "Expand",
    "Flatten",
    "FullyConnected",
    "Gather",
    "GroupNorm",
    "HardSigmoid",
    "HardSwish",
    "InstanceNorm",
    "Interp",
    "LayerNorm",
    "Log",
    "LogSoftmax",
    "MatMul",
    "MaxUnpool",
    "Mish",
    "Normalize",
    "PReLU",
    "Pad",
    "Permute",
    "Pooling",
    "Power",
    "PriorBox",
    "ROIPooling",
    "ReLU",
    "Reduction",
    "Reshape",
    "Resize",
    "Scale",
    "Sigmoid",
    "Slice",
    "Softmax",
    "Softplus",
    "Softsign",
    "SpaceToDepth",
    "Split",
    "StridedSlice",
    "Swish",
    "TanH",
    "Threshold",
    "Tile",
    "Unary",
    "YoloBoxes",
]

plugin_api = 1


@hookimpl
def cnnrt_layers() -> Sequence[type[Layer]]:
    """Return all of them."""
    return [
        Convolution,
        Pooling,
        LRN,
        FullyConnected,
        BatchNorm,
        ReLU,
        Softmax,
        Accuracy,
        Concat,
        Dropout,
        Flatten,
        Eltwise,
        Sigmoid,
        TanH,
        ELU,
        SELU,
        PReLU,
        HardSigmoid,
        HardSwish,
        Swish,
        Clip,
        Softplus,
        Mish,
        Softsign,
        GELU,
        Threshold,
        Power,
        Exp,
        Log,
        AbsVal,
        Unary,
        Scale,
        Reshape,
        Permute,
        Pad,
        Slice,
        StridedSlice,
        Split,
        Crop,
        Constant,
        Deconvolution,
        Reduction,
        ArgMax,
        LogSoftmax,
        InstanceNorm,
        GroupNorm,
        LayerNorm,
        MVN,
        Normalize,
        DepthToSpace,
        SpaceToDepth,
        ChannelShuffle,
        MatMul,
        Resize,
        Interp,
        ROIPooling,
        PriorBox,
        DetectionOutput,
        YoloBoxes,
        MaxUnpool,
        CumulativeSum,
        Expand,
        Gather,
        Tile,
    ]


def types_of(kind: type) -> tuple[str, ...]:
    """Return the types of those that are of a kind, such as `Rearrangement`, for kernels that serve all of it."""
    return tuple(layer.type for layer in cnnrt_layers() if issubclass(layer, kind))
