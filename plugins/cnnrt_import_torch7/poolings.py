"""Pooling and normalisation. Pooling rounds down unless ceil_mode says otherwise.

Files of 2013 have neither that field nor padding.

Source: torch/nn (SpatialMaxPooling.lua, SpatialAveragePooling.lua, SpatialCrossMapLRN.lua, BatchNormalization.lua).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from cnnrt.model_builder import UNKNOWN
from cnnrt_import_torch7.modules import Flow, Module, Rule, windows
from netfile_spec import Value


def _windows(module: Module) -> dict[str, Value]:
    kernel = module.pair("kH", "kW", least=1)
    pad = module.pair("padH", "padW", 0)
    if pad[0] >= kernel[0] or pad[1] >= kernel[1]:
        module.problem(f"padding of {pad[0]}×{pad[1]} for windows of {kernel[0]}×{kernel[1]}", expected="less padding")
    stride = module.pair("dH", "dW", 1, least=1)
    keys: dict[str, Value] = {"kernel_size": kernel[0] if kernel[0] == kernel[1] else kernel}
    keys |= windows(module, pad, stride)
    if not module.flag("ceil_mode"):
        keys["ceil_mode"] = False
    return keys


def max_pooling(module: Module, flow: Flow) -> Flow:
    """nn.SpatialMaxPooling and SpatialDilatedMaxPooling."""
    keys: dict[str, Value] = {"pool": "max", **_windows(module)}
    dilation = module.pair("dilationH", "dilationW", 1, least=1)
    if dilation != (1, 1):
        keys["dilation"] = dilation
    return module.add("Pooling", [module.single(flow)], keys)


def average_pooling(module: Module, flow: Flow) -> Flow:
    """nn.SpatialAveragePooling; with `divide` false a sum, the mean times the window."""
    bottom = module.single(flow)
    keys = _windows(module)
    counts = (
        module.flag("count_include_pad", True) and module.field("mode") != "CUDNN_POOLING_AVERAGE_COUNT_EXCLUDE_PADDING"
    )
    if not counts:
        keys["count_include_pad"] = False
    mean = module.add("Pooling", [bottom], {"pool": "mean", **keys})
    if module.flag("divide", True):
        return mean
    if "pad" in keys or "ceil_mode" not in keys:
        return module.problem("a sum over windows that reach over the edge", expected="divide, or windows inside")
    rows, columns = module.pair("kH", "kW", least=1)
    return module.add("Power", [mean], {"scale": float(rows * columns)}, suffix="_sum")


def adaptive_pooling(module: Module, flow: Flow) -> Flow:
    """nn.SpatialAdaptiveMaxPooling and SpatialAdaptiveAveragePooling to one value: the whole image."""
    bottom = module.single(flow)
    if module.pair("H", "W", least=1) != (1, 1):
        return module.problem("pooling to a size that is stated", expected="1×1, or SpatialMaxPooling with a window")
    method = "max" if "Max" in module.object.short else "mean"
    return module.add("Pooling", [bottom], {"pool": method, "global_pooling": True})


def lrn(module: Module, flow: Flow) -> Flow:
    """nn.SpatialCrossMapLRN: alpha is divided by the size, as in Caffe."""
    bottom = module.single(flow)
    size = module.integer("size", least=1)
    if size % 2 == 0:
        return module.problem(f"a normalisation over {size} channels", expected="an odd number")
    constant = "K" if module.field("K") is not None else "k"
    keys: dict[str, Value] = {
        "local_size": size,
        "alpha": module.number("alpha", 1e-4),
        "beta": module.number("beta", 0.75),
        "k": module.number(constant, 1.0),
    }
    return module.add("LRN", [bottom], keys)


def batch_norm(module: Module, flow: Flow) -> Flow:
    """nn.BatchNormalization and SpatialBatchNormalization; old files keep 1 / sqrt(variance + eps) as running_std."""
    bottom = module.single(flow)
    mean = module.weight("running_mean")
    if mean is None:
        return UNKNOWN
    channels = (mean.size,)
    keys: dict[str, Value] = {"epsilon": module.number("eps", 1e-5)}
    if module.field("running_var") is None and module.field("running_std") is not None:
        inverse = module.weight("running_std", channels)
        if inverse is None:
            return UNKNOWN
        with np.errstate(all="ignore"):
            variance = np.asarray(1 / inverse.astype(np.float64) ** 2, np.float32)
        keys = {"epsilon": 0.0}
    else:
        found = module.weight("running_var", channels)
        if found is None:
            return UNKNOWN
        variance = found
    weights = {"mean": mean.reshape(-1), "variance": variance}
    if module.flag("affine", True):
        for name, stored in (("scale", "weight"), ("shift", "bias")):
            if module.field(stored) is not None:
                value = module.weight(stored, channels)
                if value is None:
                    return UNKNOWN
                weights[name] = value
    return module.add("BatchNorm", [bottom], keys, weights)


RULES: Mapping[str, Rule] = {
    **dict.fromkeys(("SpatialMaxPooling", "SpatialDilatedMaxPooling"), max_pooling),
    "SpatialAveragePooling": average_pooling,
    **dict.fromkeys(("SpatialAdaptiveMaxPooling", "SpatialAdaptiveAveragePooling"), adaptive_pooling),
    **dict.fromkeys(("SpatialCrossMapLRN", "SpatialCrossResponseNormalization"), lrn),
    **dict.fromkeys(("BatchNormalization", "SpatialBatchNormalization"), batch_norm),
}
