"""Functions value by value, softmax, dropout. Source: torch/nn, each in the file of its name."""

from __future__ import annotations

from collections.abc import Mapping

from cnnrt.model_builder import UNKNOWN
from cnnrt_import_torch7.modules import Flow, Module, Rule
from netfile_spec import Value


def plain(type: str, **keys: Value) -> Rule:
    """Return a rule for a module that is one layer without keys of its own."""

    def rule(module: Module, flow: Flow) -> Flow:
        return module.add(type, [module.single(flow)], keys)

    return rule


def threshold(module: Module, flow: Flow) -> Flow:
    """nn.Threshold: what is not above the threshold becomes a value; with zeros it is a ReLU."""
    bottom = module.single(flow)
    limit, value = module.number("threshold", 1e-6), module.number("val", 0.0)
    if limit == value == 0:
        return module.add("ReLU", [bottom])
    return module.add("Threshold", [bottom], {"threshold": limit, "value": value})


def leaky(module: Module, flow: Flow) -> Flow:
    """nn.LeakyReLU."""
    return module.add("ReLU", [module.single(flow)], {"negative_slope": module.number("negval", 0.01)})


def random_leaky(module: Module, flow: Flow) -> Flow:
    """nn.RReLU, whose slope is the middle of its range once training is over."""
    slope = (module.number("lower", 1 / 8) + module.number("upper", 1 / 3)) / 2
    return module.add("ReLU", [module.single(flow)], {"negative_slope": slope})


def prelu(module: Module, flow: Flow) -> Flow:
    """nn.PReLU: one slope, or one for each channel."""
    bottom, slope = module.single(flow), module.weight("weight")
    return UNKNOWN if slope is None else module.add("PReLU", [bottom], {}, {"slope": slope.reshape(-1)})


def elu(module: Module, flow: Flow) -> Flow:
    """nn.ELU."""
    return module.add("ELU", [module.single(flow)], {"alpha": module.number("alpha", 1.0)})


def clip(module: Module, flow: Flow) -> Flow:
    """nn.HardTanh and nn.Clamp."""
    keys: dict[str, Value] = {"min": module.number("min_val", -1.0), "max": module.number("max_val", 1.0)}
    return module.add("Clip", [module.single(flow)], keys)


def softplus(module: Module, flow: Flow) -> Flow:
    """nn.SoftPlus with beta 1; beyond its threshold it is the identity, as far as float32 tells."""
    bottom = module.single(flow)
    if module.number("beta", 1.0) != 1:
        return module.problem("a SoftPlus with another beta", expected="beta 1")
    return module.add("Softplus", [bottom])


def softmin(module: Module, flow: Flow) -> Flow:
    """nn.SoftMin: a softmax of the opposite."""
    opposite = module.add("Power", [module.single(flow)], {"scale": -1.0}, suffix="_opposite")
    return module.add("Softmax", [opposite])


def log_sigmoid(module: Module, flow: Flow) -> Flow:
    """nn.LogSigmoid: -log(1 + exp(-x))."""
    opposite = module.add("Power", [module.single(flow)], {"scale": -1.0}, suffix="_opposite")
    return module.add("Power", [module.add("Softplus", [opposite], suffix="_softplus")], {"scale": -1.0})


def times_constant(module: Module, flow: Flow) -> Flow:
    """nn.MulConstant."""
    return module.add("Power", [module.single(flow)], {"scale": module.number("constant_scalar")})


def plus_constant(module: Module, flow: Flow) -> Flow:
    """nn.AddConstant."""
    return module.add("Power", [module.single(flow)], {"shift": module.number("constant_scalar")})


def power(module: Module, flow: Flow) -> Flow:
    """nn.Power."""
    return module.add("Power", [module.single(flow)], {"power": module.number("pow")})


def dropout(module: Module, flow: Flow) -> Flow:
    """nn.Dropout: its first version multiplies by 1 - p once training is over; the second (v2) did so in training."""
    if module.flag("v2"):
        return flow
    return _scaled(module, flow)


def spatial_dropout(module: Module, flow: Flow) -> Flow:
    """nn.SpatialDropout, which multiplies by 1 - p once training is over."""
    return _scaled(module, flow)


def _scaled(module: Module, flow: Flow) -> Flow:
    kept = 1 - module.number("p", 0.5)
    module.model.note(f"{module.title}: it multiplies by {kept:g} once training is over, as dropout did at first")
    return module.add("Power", [module.single(flow)], {"scale": kept})


RULES: Mapping[str, Rule] = {
    "ReLU": plain("ReLU"),
    "Threshold": threshold,
    "LeakyReLU": leaky,
    "RReLU": random_leaky,
    "PReLU": prelu,
    "ELU": elu,
    "ReLU6": plain("Clip", min=0.0, max=6.0),
    **dict.fromkeys(("HardTanh", "Clamp"), clip),
    "Tanh": plain("TanH"),
    "Sigmoid": plain("Sigmoid"),
    "SoftPlus": softplus,
    "SoftSign": plain("Softsign"),
    "Abs": plain("AbsVal"),
    "Exp": plain("Exp"),
    "Log": plain("Log"),
    "Square": plain("Power", power=2.0),
    "Sqrt": plain("Power", power=0.5),
    "Power": power,
    "MulConstant": times_constant,
    "AddConstant": plus_constant,
    **dict.fromkeys(("SoftMax", "SpatialSoftMax"), plain("Softmax")),
    **dict.fromkeys(("LogSoftMax", "SpatialLogSoftMax"), plain("LogSoftmax")),
    "SoftMin": softmin,
    "LogSigmoid": log_sigmoid,
    "Dropout": dropout,
    "SpatialDropout": spatial_dropout,
}
