"""Each unit as layers. Source: veles.znicz (all2all.py, conv.py, activation.py, ...): its formulas, names and layouts.

Images of VELES are (rows, columns, channels), those of a NetFile (channels, rows, columns): kernels are turned, and
a dense unit behind an image reads it permuted, since no unit says how many rows and columns there are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cnnrt.model_builder import ModelBuilder
from cnnrt_import_veles.contents import Unit
from cnnrt_import_veles.images import AVERAGE_POOLING, MAX_POOLING, NORM, convolution, cut, normalised, pooled
from cnnrt_import_veles.reading import UNKNOWN_VALUE, Given, Reading
from netfile_spec import Value


def multiplied(reading: Reading) -> Given:
    """Return the value times a number (ForwardMul)."""
    factor = reading.number("factor")
    if factor is None:
        return UNKNOWN_VALUE
    return Given(reading.layer("Power", "mul", {"scale": factor}), reading.bottom.channels)


# znicz's tanh is scaled (LeCun 1998), and what it calls RELU is a softplus.
_ACTIVATIONS: Mapping[str, tuple[str, Mapping[str, Value]] | None] = {
    "": None,
    "Tanh": ("TanH", {"amplitude": 1.7159, "slope": 0.6666}),
    "RELU": ("Softplus", {}),
    "StrictRELU": ("ReLU", {}),
    "Sigmoid": ("Sigmoid", {}),
}
_SOFTMAX = ("Softmax", dict[str, Value]())
_DENSE, _CONVOLUTION = "All2All", "Conv"
_OTHERS: Mapping[str, Callable[[Reading], Given]] = {
    MAX_POOLING: pooled,
    AVERAGE_POOLING: pooled,
    NORM: normalised,
    "Cutter": cut,
    "DropoutForward": lambda reading: reading.bottom,
    "ForwardMul": multiplied,
}
SUPPORTED = (
    *(f"{_DENSE}{name}" for name in (*_ACTIVATIONS, "Softmax")),
    *(f"{_CONVOLUTION}{name}" for name in _ACTIVATIONS),
    *(f"Forward{name}" for name in (*_ACTIVATIONS, "Softmax") if name),
    *_OTHERS,
)


def add_unit(unit: Unit, bottoms: list[Given], model: ModelBuilder) -> Given:
    """Add a unit's layers; return what it gives."""
    place = f"unit {unit.number} ({unit.type[:60] or 'without a class'})"
    if unit.type not in SUPPORTED:
        return Given(model.problem(place, "it is not supported", hint=f"supported are {', '.join(SUPPORTED)}"))
    if len(bottoms) != 1:
        return Given(model.problem(place, f"it reads {len(bottoms)} values", expected="one"))
    reading = Reading(unit, place, bottoms[0], model)
    if unit.type in _OTHERS:
        return _OTHERS[unit.type](reading)
    if unit.type.startswith("Forward"):
        return _activation(reading, unit.type.removeprefix("Forward"), bottoms[0])
    if unit.type.startswith(_DENSE):
        return _activation(reading, unit.type.removeprefix(_DENSE), _dense(reading))
    return _activation(reading, unit.type.removeprefix(_CONVOLUTION), convolution(reading))


def _activation(reading: Reading, name: str, given: Given) -> Given:
    kind = _SOFTMAX if name == "Softmax" else _ACTIVATIONS[name]
    if kind is None:
        return given
    return Given(reading.layer(kind[0], name.lower(), kind[1], bottom=given.name), given.channels)


def _dense(reading: Reading) -> Given:
    weight = reading.matrix()
    weights = None if weight is None else reading.with_bias(weight)
    if weight is None or weights is None:
        return UNKNOWN_VALUE
    bottom, channels, features = reading.bottom.name, reading.bottom.channels, weight.shape[1]
    if channels is not None and features % channels:
        return reading.problem(f"its weights are for {features} features of images of {channels} channels")
    if channels not in (None, 1, features):
        bottom = reading.layer("Permute", "channels_last", {"order": (0, 2, 3, 1)})
    return Given(reading.layer("FullyConnected", "all2all", weights=weights, bottom=bottom))
