"""Activations and other layers that work value by value."""

from __future__ import annotations

from collections.abc import Callable

from cnnrt_import_caffe.findings import Findings
from cnnrt_import_caffe.net import CaffeLayer
from cnnrt_import_caffe.rules import Converted, Rule, WeightShape, number
from netfile_spec import Value


def _plain(kind: str) -> Callable[[CaffeLayer, Findings], Converted]:
    """Return the conversion of a type that has no parameters."""

    def convert(layer: CaffeLayer, findings: Findings) -> Converted:
        return Converted(kind, {})

    return convert


def _numbers(kind: str, block: str, **defaults: float) -> Callable[[CaffeLayer, Findings], Converted]:
    """Return the conversion of a type whose parameters are numbers of the same names in cnnrt."""

    def convert(layer: CaffeLayer, findings: Findings) -> Converted:
        param = getattr(layer.param, block)
        values = {key: number(getattr(param, key)) for key in defaults}
        return Converted(kind, {key: value for key, value in values.items() if value != defaults[key]})

    return convert


def _exponential(kind: str, block: str) -> Callable[[CaffeLayer, Findings], Converted]:
    plain = _numbers(kind, block, base=-1, scale=1, shift=0)

    def convert(layer: CaffeLayer, findings: Findings) -> Converted:
        base = number(getattr(layer.param, block).base)
        if (base <= 0 and base != -1) or (kind == "Log" and base == 1):
            findings.of_layer(layer, f"base {base}", block, "base", expected="a positive number, or -1 for e")
            return Converted(kind, {})
        return plain(layer, findings)

    return convert


def _clip(layer: CaffeLayer, findings: Findings) -> Converted:
    param = layer.param.clip_param
    low, high = number(param.min), number(param.max)
    if not (param.HasField("min") and param.HasField("max")) or low > high:
        findings.of_layer(layer, f"clipping to {low}..{high}", "clip_param", expected="min and max, in this order")
        return Converted("Clip", {})
    return Converted("Clip", {"min": low, "max": high})


def _relu6(layer: CaffeLayer, findings: Findings) -> Converted:
    return Converted("Clip", {"min": 0.0, "max": 6.0})


def _prelu(layer: CaffeLayer, findings: Findings) -> Converted:
    shape = (1,) if layer.param.prelu_param.channel_shared else (None,)
    return Converted("PReLU", {}, (WeightShape("slope", shape),))


def _scale(layer: CaffeLayer, findings: Findings) -> Converted:
    param = layer.param.scale_param
    keys: dict[str, Value] = {} if param.axis == 1 else {"axis": param.axis}
    pattern = _pattern(layer, findings, "scale_param", param.num_axes)
    names = ["scale"] if len(layer.bottoms) == 1 else []  # a second bottom is the factors
    names += ["bias"] if param.bias_term else []
    return Converted("Scale", keys, tuple(WeightShape(name, pattern) for name in names))


def _bias(layer: CaffeLayer, findings: Findings) -> Converted:
    param = layer.param.bias_param
    keys: dict[str, Value] = {} if param.axis == 1 else {"axis": param.axis}
    pattern = _pattern(layer, findings, "bias_param", param.num_axes)
    return Converted("Scale", keys, (WeightShape("bias", pattern),))


def _pattern(layer: CaffeLayer, findings: Findings, block: str, axes: int) -> tuple[int | None, ...] | None:
    """Return the shape of factors along so many axes: 0 is a single one, -1 all that follow."""
    if not -1 <= axes <= 32:
        findings.of_layer(layer, f"num_axes {axes}", block, "num_axes", expected="-1 to 32")
        return None
    return None if axes == -1 else (None,) * axes or (1,)


ELEMENTWISE_RULES = {
    "AbsVal": Rule("", _plain("AbsVal")),
    "BNLL": Rule("", _plain("Softplus")),
    "Bias": Rule("bias_param", _bias),
    "Clip": Rule("clip_param", _clip),
    "ELU": Rule("elu_param", _numbers("ELU", "elu_param", alpha=1)),
    "Exp": Rule("exp_param", _exponential("Exp", "exp_param")),
    "Log": Rule("log_param", _exponential("Log", "log_param")),
    "PReLU": Rule("prelu_param", _prelu),
    "Power": Rule("power_param", _numbers("Power", "power_param", power=1, scale=1, shift=0)),
    "ReLU6": Rule("", _relu6),
    "Scale": Rule("scale_param", _scale, (1, 2)),
    "Sigmoid": Rule("", _plain("Sigmoid")),
    "Swish": Rule("swish_param", _numbers("Swish", "swish_param", beta=1)),
    "TanH": Rule("", _plain("TanH")),
}
