"""What the option `activation` becomes: a layer behind the one that states it.

Formulas: `activations.h` of Darknet.
"""

from __future__ import annotations

from collections.abc import Mapping

from cnnrt_import_darknet.cfg import Section
from cnnrt_import_darknet.network import Network, Value
from netfile_spec import Value as KeyValue
from netfile_spec.problems import nearest, quoted

_LAYERS: Mapping[str, tuple[str, Mapping[str, KeyValue]]] = {
    "relu": ("ReLU", {}),
    "leaky": ("ReLU", {"negative_slope": 0.1}),
    "relie": ("ReLU", {"negative_slope": 0.01}),
    "relu6": ("Clip", {"min": 0, "max": 6}),
    "hardtan": ("Clip", {"min": -1, "max": 1}),
    "logistic": ("Sigmoid", {}),
    "tanh": ("TanH", {}),
    "loggy": ("TanH", {"slope": 0.5}),  # 2 / (1 + exp(-x)) - 1
    "elu": ("ELU", {}),
    "selu": ("SELU", {"alpha": 1.6732, "gamma": 1.0507}),
    "swish": ("Swish", {}),
    "mish": ("Mish", {}),
}
_LINEAR = "linear"


def activate(network: Network, section: Section, value: Value, default: str) -> Value:
    """Return the value behind the section's activation; one that is not supported is a problem."""
    name = section.text("activation", default)
    if name == _LINEAR:
        return value
    if name not in _LAYERS:
        section.problem(
            f"the activation {quoted(name)} is not supported", "activation", hint=nearest(name, (_LINEAR, *_LAYERS))
        )
        return value
    kind, keys = _LAYERS[name]
    return network.add(kind, f"{name}_{section.number}", [value], value.shape, keys)
