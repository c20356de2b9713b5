"""What a line may say of each kind of layer, and what that means in cnnrt.

An importer translates meaning, not words. This format follows the habits of today's frameworks: a pooling moves by its
own size unless told otherwise, drops what does not fill a window, and leaves padding out of a mean. cnnrt's layers
follow Caffe, so all three have to be stated.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from netfile_spec import Value


@attrs.frozen
class Setting:
    """An integer that a line may state: its key in cnnrt, least value; `default` names the setting that it follows."""

    key: str
    least: int = 1
    required: bool = False
    default: str = ""


@attrs.frozen
class Kind:
    """A kind of layer: its type in cnnrt, what lines state, which weights they name (True: required), fixed keys."""

    type: str
    settings: Mapping[str, Setting] = attrs.field(factory=dict)
    weights: Mapping[str, bool] = attrs.field(factory=dict)
    fixed: Mapping[str, Value] = attrs.field(factory=dict)


_WEIGHTS = {"weight": True, "bias": False}
_POOLING = {
    "size": Setting("kernel_size", required=True),
    "stride": Setting("stride", default="size"),
    "pad": Setting("pad", least=0),
}

KINDS: Mapping[str, Kind] = {
    "conv": Kind(
        "Convolution",
        {
            "stride": Setting("stride"),
            "pad": Setting("pad", least=0),
            "dilation": Setting("dilation"),
            "group": Setting("group"),
        },
        _WEIGHTS,
    ),
    "dense": Kind("FullyConnected", weights=_WEIGHTS),
    "maxpool": Kind("Pooling", _POOLING, fixed={"pool": "max", "ceil_mode": False}),
    "meanpool": Kind("Pooling", _POOLING, fixed={"pool": "mean", "ceil_mode": False, "count_include_pad": False}),
    "relu": Kind("ReLU"),
    "softmax": Kind("Softmax"),
}
