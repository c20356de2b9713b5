"""Neurons: functions value by value. Source: cuda-convnet, layer.py (`neuron_parsers`) and neuron.cuh."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from cnnrt.model_builder import ModelBuilder
from netfile_spec import Value
from netfile_spec.problems import quoted

KNOWN = ("ident", "relu", "brelu", "softrelu", "logistic", "tanh", "abs", "square", "linear")


def neuron(stated: Any, place: str, wanted: str, bottom: str, model: ModelBuilder) -> str:
    """Add what a neuron is; return the name of what it gives. `stated`: a name, or {"type": ..., "params": {...}}."""
    type = stated.get("type") if isinstance(stated, dict) else stated
    given = stated.get("params") if isinstance(stated, dict) else None
    a, b = (_number(given, key, model, place) for key in ("a", "b"))
    layers: Mapping[str, tuple[str, Mapping[str, Value]]] = {
        "relu": ("ReLU", {}),
        "brelu": ("Clip", {"min": 0.0, "max": a}),
        "softrelu": ("Softplus", {}),
        "logistic": ("Sigmoid", {}),
        "tanh": ("TanH", {"amplitude": a, "slope": b}),
        "abs": ("AbsVal", {}),
        "square": ("Power", {"power": 2.0}),
        "linear": ("Power", {"scale": a, "shift": b}),
    }
    if type in (None, "ident"):
        return bottom
    if not isinstance(type, str) or type not in layers:
        return model.problem(place, f"the neuron {quoted(str(type)[:60])}", expected=", ".join(KNOWN))
    kind, keys = layers[type]
    return model.layer(kind, wanted, [bottom], keys)


def _number(params: Any, key: str, model: ModelBuilder, place: str) -> float:
    value = params.get(key, 1.0) if isinstance(params, dict) else 1.0
    if isinstance(value, int | float) and math.isfinite(value):
        return float(value)
    model.problem(place, f"its neuron's {key} is no number")
    return 1.0
