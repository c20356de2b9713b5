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


def activation_of(section: Section, default: str) -> str | None:
    """Return the activation that a section states; one that is not supported is a problem, and none is returned."""
    name = section.text("activation", default)
    if name == _LINEAR:
        return None
    if name in _LAYERS:
        return name
    section.problem(
        f"the activation {quoted(name)} is not supported", "activation", hint=nearest(name, (_LINEAR, *_LAYERS))
    )
    return None


def activate(network: Network, section: Section, value: Value, name: str | None) -> Value:
    """Return the value behind an activation that `activation_of` gave."""
    if name is None:
        return value
    kind, keys = _LAYERS[name]
    return network.add(kind, f"{name}_{section.number}", [value], value.shape, keys)
