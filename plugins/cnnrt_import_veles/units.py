"""Each unit as layers. Source: veles.znicz (all2all.py, activation.py): the formulas of activations are its own."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from cnnrt.layer import Array
from cnnrt.model_builder import UNKNOWN, ModelBuilder
from cnnrt_import_veles.contents import Unit
from netfile_spec import Value
from netfile_spec.problems import quoted

# znicz's tanh is scaled (LeCun 1998), and what it calls RELU is a softplus.
_ACTIVATIONS: Mapping[str, tuple[str, Mapping[str, Value]] | None] = {
    "": None,
    "Tanh": ("TanH", {"amplitude": 1.7159, "slope": 0.6666}),
    "RELU": ("Softplus", {}),
    "StrictRELU": ("ReLU", {}),
    "Sigmoid": ("Sigmoid", {}),
    "Softmax": ("Softmax", {}),
}
_DENSE = "All2All"
SUPPORTED = (*(f"{_DENSE}{name}" for name in _ACTIVATIONS), *(f"Forward{name}" for name in _ACTIVATIONS if name))


def add_unit(unit: Unit, bottoms: list[str], model: ModelBuilder) -> str:
    """Add a unit's layers; return the name of what it gives."""
    place = f"unit {unit.number} ({unit.type[:60] or 'without a class'})"
    if unit.type not in SUPPORTED:
        return model.problem(place, "it is not supported", hint=f"supported are {', '.join(SUPPORTED)}")
    if len(bottoms) != 1:
        return model.problem(place, f"it reads {len(bottoms)} values", expected="one")
    if unit.type.startswith("Forward"):
        return _activation(unit, unit.type.removeprefix("Forward"), bottoms[0], model)
    given = _dense(unit, place, bottoms[0], model)
    return given if given == UNKNOWN else _activation(unit, unit.type.removeprefix(_DENSE), given, model)


def _activation(unit: Unit, name: str, bottom: str, model: ModelBuilder) -> str:
    kind = _ACTIVATIONS[name]
    return bottom if kind is None else model.layer(kind[0], f"{name.lower()}{unit.number}", [bottom], kind[1])


def _dense(unit: Unit, place: str, bottom: str, model: ModelBuilder) -> str:
    weight = _weight(unit, place, "weights", 2, model)
    if weight is None:
        return UNKNOWN
    if unit.data.get("weights_transposed") is True:
        weight = np.ascontiguousarray(weight.T)
    weights = {"weight": weight}
    if unit.data.get("include_bias", True) is not False:
        bias = _weight(unit, place, "bias", 1, model)
        if bias is None:
            return UNKNOWN
        if len(bias) != len(weight):
            return model.problem(place, f"{len(bias)} biases for {len(weight)} outputs", expected="one for each")
        weights["bias"] = bias
    return model.layer("FullyConnected", f"all2all{unit.number}", [bottom], {}, weights)


def _weight(unit: Unit, place: str, key: str, rank: int, model: ModelBuilder) -> Array | None:
    reference = unit.data.get(key)
    if not isinstance(reference, str) or not reference.startswith("@"):
        model.problem(place, f"its {key} is no reference to an array", expected=f'"{key}": "@name"')
        return None
    array = unit.read(reference[1:])
    if array.ndim != rank or array.dtype.kind not in "fiu" or not array.size:
        model.problem(
            place, f"its {key} ({quoted(reference)}) has {array.ndim} dimensions", expected=f"{rank}, of numbers"
        )
        return None
    with np.errstate(all="ignore"):
        return np.ascontiguousarray(array, np.float32)
