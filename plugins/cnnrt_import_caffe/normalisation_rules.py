"""Normalisations, reductions and comparisons."""

from __future__ import annotations

from cnnrt_import_caffe.findings import Findings
from cnnrt_import_caffe.net import CaffeLayer
from cnnrt_import_caffe.rules import Converted, Rule, WeightShape, number
from netfile_spec import Value


def _batch_norm(layer: CaffeLayer, findings: Findings) -> Converted:
    """Mean, variance, and the factor by which Caffe has both in its files; scale and shift are a Scale layer's."""
    param = layer.param.batch_norm_param
    if param.HasField("use_global_stats") and not param.use_global_stats:
        findings.of_layer(
            layer,
            "statistics of the batch at hand (use_global_stats: false)",
            "batch_norm_param",
            "use_global_stats",
            expected="those that training measured: leave the key out of the net for phase TEST",
        )
    epsilon = number(param.eps)
    weights = (
        WeightShape("mean", (None,), divisor=2),
        WeightShape("variance", (None,), divisor=2),
        WeightShape("", (1,)),
    )
    return Converted("BatchNorm", {} if epsilon == 1e-5 else {"epsilon": epsilon}, weights)


def _mvn(layer: CaffeLayer, findings: Findings) -> Converted:
    param, keys = layer.param.mvn_param, dict[str, Value]()
    if not param.normalize_variance:
        keys["normalize_variance"] = False
    if param.across_channels:
        keys["across_channels"] = True
    if number(param.eps) != 1e-9:
        keys["eps"] = number(param.eps)
    return Converted("MVN", keys)


def _normalize(layer: CaffeLayer, findings: Findings) -> Converted:
    param, keys = layer.param.norm_param, dict[str, Value]()
    if param.across_spatial:
        keys["across_spatial"] = True
    if number(param.eps) != 1e-10:
        keys["eps"] = number(param.eps)
    return Converted("Normalize", keys, (WeightShape("scale", (1,) if param.channel_shared else (None,)),))


def _arg_max(layer: CaffeLayer, findings: Findings) -> Converted:
    param, keys = layer.param.argmax_param, dict[str, Value]()
    if param.HasField("axis"):
        keys["axis"] = param.axis
    if param.top_k < 1:
        findings.of_layer(layer, f"top_k {param.top_k}", "argmax_param", "top_k", expected="at least 1")
    elif param.top_k != 1:
        keys["top_k"] = param.top_k
    if param.out_max_val:
        keys["out_max_val"] = True
    return Converted("ArgMax", keys)


def _reduction(layer: CaffeLayer, findings: Findings) -> Converted:
    param, keys = layer.param.reduction_param, dict[str, Value]()
    operation = ("sum", "sum", "l1", "sum_square", "mean")[param.operation]
    if operation != "sum":
        keys["operation"] = operation
    if param.axis:
        keys["axis"] = param.axis
    if param.coeff != 1:
        keys["coeff"] = number(param.coeff)
    return Converted("Reduction", keys)


NORMALISATION_RULES = {
    "ArgMax": Rule("argmax_param", _arg_max),
    "BatchNorm": Rule("batch_norm_param", _batch_norm),
    "MVN": Rule("mvn_param", _mvn),
    "Normalize": Rule("norm_param", _normalize),
    "Reduction": Rule("reduction_param", _reduction),
}
