"""Convolutions and linear layers. Weights are (outputs, inputs, rows, columns), sometimes with some of these joined.

Source: the constructors and `updateOutput` of torch/nn and of cudnn.torch; files of 2013 lack padding.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from cnnrt.model_builder import UNKNOWN
from cnnrt_import_torch7.modules import Flow, Module, Rule, windows
from cnnrt_import_torch7.objects import Tensor
from netfile_spec import Value

_MOST_VALUES = 1 << 26


def convolution(module: Module, flow: Flow) -> Flow:
    """nn.SpatialConvolution, SpatialConvolutionMM, SpatialDilatedConvolution, cudnn.SpatialConvolution."""
    bottom = module.single(flow)
    inputs, outputs = (module.integer(name, least=1) for name in ("nInputPlane", "nOutputPlane"))
    kernel, stride = module.pair("kH", "kW", least=1), module.pair("dH", "dW", 1, least=1)
    groups = module.integer("groups", 1, least=1)
    # Before there was padW there was padding, and before that none.
    pad = module.pair("padH", "padW", module.integer("padding", 0))
    keys = windows(module, pad, stride)
    dilation = module.pair("dilationH", "dilationW", 1, least=1)
    if dilation != (1, 1):
        keys["dilation"] = dilation
    if groups != 1:
        keys["group"] = groups
        if inputs % groups:
            return module.problem(f"{inputs} inputs in {groups} groups", expected="a number that divides the inputs")
    weight = module.stored("weight", (outputs, inputs // groups, *kernel))
    return module.add("Convolution", [bottom], keys, {"weight": weight, **module.bias(outputs)})


def full_convolution(module: Module, flow: Flow) -> Flow:
    """nn.SpatialFullConvolution (transposed); its weights are (inputs, outputs / groups, rows, columns)."""
    bottom = module.single(flow)
    inputs, outputs = (module.integer(name, least=1) for name in ("nInputPlane", "nOutputPlane"))
    kernel, stride = module.pair("kH", "kW", least=1), module.pair("dH", "dW", 1, least=1)
    groups = module.integer("groups", 1, least=1)
    keys = windows(module, module.pair("padH", "padW", 0), stride)
    extra = module.pair("adjH", "adjW", 0)
    if any(extra):
        keys["output_pad"] = extra
    if groups != 1:
        keys["group"] = groups
    weight = module.stored("weight", (inputs, outputs // groups, *kernel))
    return module.add("Deconvolution", [bottom], keys, {"weight": weight, **module.bias(outputs)})


def convolution_map(module: Module, flow: Flow) -> Flow:
    """nn.SpatialConvolutionMap: a table says which inputs each output sees; all other weights are 0."""
    bottom = module.single(flow)
    inputs, outputs = (module.integer(name, least=1) for name in ("nInputPlane", "nOutputPlane"))
    kernel, stride = module.pair("kH", "kW", least=1), module.pair("dH", "dW", 1, least=1)
    table = module.field("connTable")
    if not isinstance(table, Tensor) or len(table.shape) != 2 or table.shape[1] != 2:
        return module.problem("it has no table of connections (connTable)")
    pairs = np.asarray(table.array(), np.int64) - 1
    if pairs.size and (pairs.min() < 0 or pairs[:, 0].max() >= inputs or pairs[:, 1].max() >= outputs):
        return module.problem("its table of connections names inputs or outputs that it does not have")
    stored = module.weight("weight", (len(pairs), *kernel))
    if stored is None or inputs * outputs * kernel[0] * kernel[1] > _MOST_VALUES:
        return UNKNOWN if stored is None else module.problem("its weights, with all zeros in between, are too large")
    weight = np.zeros((outputs, inputs, *kernel), np.float32)
    weight[pairs[:, 1], pairs[:, 0]] = stored
    return module.add(
        "Convolution", [bottom], windows(module, (0, 0), stride), {"weight": weight, **module.bias(outputs)}
    )


def linear(module: Module, flow: Flow) -> Flow:
    """nn.Linear: weights (outputs, inputs), as here."""
    bottom = module.single(flow)
    tensor = module.field("weight")
    if isinstance(tensor, Tensor) and len(tensor.shape) != 2:
        return module.problem("its weights are no matrix", expected="(outputs, inputs)")
    weight = module.stored("weight")
    if weight is None or not isinstance(tensor, Tensor):
        return UNKNOWN
    return module.add("FullyConnected", [bottom], {}, {"weight": weight, **module.bias(tensor.shape[0])})


def per_channel(module: Module, flow: Flow) -> Flow:
    """nn.CMul and nn.Add of one number for each channel: Scale."""
    bottom = module.single(flow)
    name, weight_name = ("weight", "scale") if module.object.short == "CMul" else ("bias", "bias")
    stored = module.weight(name)
    if stored is None:
        return UNKNOWN
    channels = 1 if stored.ndim in (2, 4) and stored.shape[0] == 1 else 0
    if stored.shape[channels] != stored.size:
        return module.problem("its numbers are not one for each channel", expected="a size of 1×channels×1×1")
    return module.add("Scale", [bottom], {}, {weight_name: stored.reshape(-1)})


def times_weight(module: Module, flow: Flow) -> Flow:
    """nn.Mul: one factor that was learned."""
    bottom = module.single(flow)
    factor = module.weight("weight", (1,))
    return UNKNOWN if factor is None else module.add("Power", [bottom], {"scale": float(factor[0])})


def subsampling(module: Module, flow: Flow) -> Flow:
    """nn.SpatialSubSampling: the sum of each window, times a factor of the channel, and an offset."""
    bottom = module.single(flow)
    channels = module.integer("nInputPlane", least=1)
    kernel, stride = module.pair("kH", "kW", least=1), module.pair("dH", "dW", 1, least=1)
    keys: dict[str, Value] = {
        "pool": "mean",
        "kernel_size": kernel,
        **windows(module, (0, 0), stride),
        "ceil_mode": False,
    }
    factors = module.weight("weight", (channels,))
    if factors is None:
        return UNKNOWN
    mean = module.add("Pooling", [bottom], keys)
    factors = factors * np.float32(kernel[0] * kernel[1])
    return module.add("Scale", [mean], {}, {"scale": factors, **module.bias(channels)}, suffix="_scale")


RULES: Mapping[str, Rule] = {
    **dict.fromkeys(("SpatialConvolution", "SpatialConvolutionMM", "SpatialDilatedConvolution"), convolution),
    "SpatialConvolutionMap": convolution_map,
    "SpatialFullConvolution": full_convolution,
    "Linear": linear,
    "CMul": per_channel,
    "Add": per_channel,
    "Mul": times_weight,
    "SpatialSubSampling": subsampling,
}
