"""The layers that ship with cnnrt: what each one is, one in each file.

They register through the same entry point as a stranger's (see `cnnrt.hookspecs.cnnrt_layers`).
"""

from __future__ import annotations

from collections.abc import Sequence

from cnnrt.hookspecs import hookimpl
from cnnrt.layer import Layer
from cnnrt_layers.accuracy import Accuracy
from cnnrt_layers.batch_norm import BatchNorm
from cnnrt_layers.concat import Concat
from cnnrt_layers.convolution import Convolution
from cnnrt_layers.dropout import Dropout
from cnnrt_layers.eltwise import Eltwise
from cnnrt_layers.flatten import Flatten
from cnnrt_layers.fully_connected import FullyConnected
from cnnrt_layers.lrn import LRN
from cnnrt_layers.pooling import Pooling
from cnnrt_layers.relu import ReLU
from cnnrt_layers.softmax import Softmax

__all__ = [
    "LRN",
    "Accuracy",
    "BatchNorm",
    "Concat",
    "Convolution",
    "Dropout",
    "Eltwise",
    "Flatten",
    "FullyConnected",
    "Pooling",
    "ReLU",
    "Softmax",
]

plugin_api = 1


@hookimpl
def cnnrt_layers() -> Sequence[type[Layer]]:
    """Return the twelve layers."""
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
    ]
