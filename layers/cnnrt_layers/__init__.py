"""The layers that ship with cnnrt: what each one is, one in each file.

They register through the same entry point as a stranger's (see `cnnrt.hookspecs.cnnrt_layers`).
"""

from __future__ import annotations

from collections.abc import Sequence

from cnnrt.hookspecs import hookimpl
from cnnrt.layer import Layer
from cnnrt_layers.abs_val import AbsVal
from cnnrt_layers.accuracy import Accuracy
from cnnrt_layers.batch_norm import BatchNorm
from cnnrt_layers.clip import Clip
from cnnrt_layers.concat import Concat
from cnnrt_layers.constant import Constant
from cnnrt_layers.convolution import Convolution
from cnnrt_layers.crop import Crop
from cnnrt_layers.dropout import Dropout
from cnnrt_layers.eltwise import Eltwise
from cnnrt_layers.elu import ELU
from cnnrt_layers.exp import Exp
from cnnrt_layers.flatten import Flatten
from cnnrt_layers.fully_connected import FullyConnected
from cnnrt_layers.gelu import GELU
from cnnrt_layers.hard_sigmoid import HardSigmoid
from cnnrt_layers.hard_swish import HardSwish
from cnnrt_layers.log import Log
from cnnrt_layers.lrn import LRN
from cnnrt_layers.pad import Pad
from cnnrt_layers.permute import Permute
from cnnrt_layers.pooling import Pooling
from cnnrt_layers.power import Power
from cnnrt_layers.prelu import PReLU
from cnnrt_layers.relu import ReLU
from cnnrt_layers.reshape import Reshape
from cnnrt_layers.scale import Scale
from cnnrt_layers.selu import SELU
from cnnrt_layers.sigmoid import Sigmoid
from cnnrt_layers.slice import Slice
from cnnrt_layers.softmax import Softmax
from cnnrt_layers.softplus import Softplus
from cnnrt_layers.softsign import Softsign
from cnnrt_layers.split import Split
from cnnrt_layers.strided_slice import StridedSlice
from cnnrt_layers.swish import Swish
from cnnrt_layers.tanh import TanH
from cnnrt_layers.threshold import Threshold
from cnnrt_layers.unary import Unary

__all__ = [
    "ELU",
    "GELU",
    "LRN",
    "SELU",
    "AbsVal",
    "Accuracy",
    "BatchNorm",
    "Clip",
    "Concat",
    "Constant",
    "Convolution",
    "Crop",
    "Dropout",
    "Eltwise",
    "Exp",
    "Flatten",
    "FullyConnected",
    "HardSigmoid",
    "HardSwish",
    "Log",
    "PReLU",
    "Pad",
    "Permute",
    "Pooling",
    "Power",
    "ReLU",
    "Reshape",
    "Scale",
    "Sigmoid",
    "Slice",
    "Softmax",
    "Softplus",
    "Softsign",
    "Split",
    "StridedSlice",
    "Swish",
    "TanH",
    "Threshold",
    "Unary",
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
    ]
