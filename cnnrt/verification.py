"""Whether a converted network computes what the original framework computed: value by value, in the network's order.

The first value that differs says where to look: all before it is right.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import attrs
import numpy as np

from cnnrt.arguments import is_number
from cnnrt.errors import InputError
from cnnrt.graph import Graph
from cnnrt.layer import Array, Shape, shape_text
from cnnrt.net import Net

TOLERANCE = 1e-5
"""Largest difference by largest value up to which values agree: engines that are right differ by less (2e-6)."""
_USUAL_INPUTS = ("input", "data", "x", "images")


@attrs.frozen
class Comparison:
    """One value: the name under which the reference has it, and how far the network's is from it.

    `difference` is the largest one, `largest` the reference's largest value; both NaN where shapes do not fit.
    `remark` says what kind of difference it looks like, where it looks like any.
    """

    name: str
    layer: str
    shape: Shape
    difference: float
    largest: float
    agrees: bool
    remark: str = ""

    @property
    def relative(self) -> float:
        """The largest difference by the largest value."""
        return self.difference / self.largest if self.largest else self.difference


@attrs.frozen
class Verification:
    """All values that were compared, in the network's order; `unknown` are arrays that it has no value for."""

    compared: tuple[Comparison, ...]
    unknown: tuple[str, ...]

    @property
    def first_difference(self) -> Comparison | None:
        """The first value that does not agree; None where all do."""
        return next((c for c in self.compared if not c.agrees), None)

    def to_dict(self) -> dict[str, object]:
        """Return it as plain values, for JSON; what is not finite is None."""
        first = self.first_difference
        return {
            "agrees": first is None,
            "first_difference": first.name if first else None,
            "values": [
                {
                    "name": c.name,
                    "layer": c.layer,
                    "agrees": c.agrees,
                    "difference": _number(c.difference),
                    "largest": _number(c.largest),
                    "remark": c.remark,
                }
                for c in self.compared
            ],
            "unknown": list(self.unknown),
        }


def verify(net: Net, arrays: Mapping[str, Array], *, tolerance: float = TOLERANCE) -> Verification:
    """Compare a network's values with those of the original framework.

    `arrays`: the inputs, by the network's names ("input" will do for the only one), and values by the names of
    layers or blobs. Raises InputError where an input is missing or does not fit, or no array is one of the network's.
    """
    if not isinstance(arrays, Mapping):
        raise InputError(f"arrays: expected arrays by name, got {type(arrays).__name__}")
    if not (is_number(tolerance) and tolerance >= 0):
        raise InputError(f"tolerance: expected a number of at least 0, got {tolerance!r}")
    inputs = _inputs(net.graph, arrays)
    places = {value: number for number, value in enumerate(net.graph.values)}
    wanted: dict[str, str] = {}
    for name in arrays:
        value = name if name in places else net.graph.aliases.get(name)
        if value is not None and value not in inputs.values() and name not in inputs.values():
            wanted[name] = value
    unknown = tuple(n for n in arrays if n not in wanted and n not in inputs.values())
    if not wanted:
        raise InputError(
            f"none of the arrays is a value of the network ({_listed(arrays)}): name them after layers, such as "
            f"{_listed(net.graph.outputs)}"
        )
    fed = {given: _fed(name, arrays[name]) for given, name in inputs.items()}
    values = net.compute(fed, outputs=list(wanted))
    in_order = sorted(wanted, key=lambda name: places[wanted[name]])
    writers = {value: node.title for node in net.graph.nodes for value in node.outputs}
    compared = [
        compare(name, writers.get(wanted[name], ""), np.asarray(values[name]), arrays[name], tolerance)
        for name in in_order
    ]
    return Verification(tuple(compared), unknown)


def _inputs(graph: Graph, arrays: Mapping[str, Array]) -> dict[str, str]:
    """Return, for each input of the network, the name of its array."""
    found = {given.name: given.name for given in graph.inputs if given.name in arrays}
    if not found and len(graph.inputs) == 1:
        usual = next((name for name in _USUAL_INPUTS if name in arrays), None)
        found = {graph.inputs[0].name: usual} if usual is not None else {}
    missing = [given.name for given in graph.inputs if given.name not in found]
    if missing:
        raise InputError(f"the reference has no array for the input {_listed(missing)}; it holds {_listed(arrays)}")
    return found


def _fed(name: str, array: Array) -> Array:
    """Return an input as float32: references are often stored in float64, or as pixels."""
    values = np.asarray(array)
    if values.dtype.kind not in "fiub":
        raise InputError(f"the reference's input {name!r} holds {values.dtype}, expected numbers")
    with np.errstate(over="ignore"):  # what is not finite then is refused
        return values.astype(np.float32)


def compare(name: str, layer: str, got: Array, reference: Array, tolerance: float = TOLERANCE) -> Comparison:
    """Compare one value with its reference; `layer`: what to call its writer."""
    wanted = np.asarray(reference)
    if wanted.dtype.kind not in "fiub":
        return Comparison(name, layer, got.shape, np.nan, np.nan, False, f"the reference holds {wanted.dtype}")
    wanted = wanted.astype(np.float64)
    remark = ""
    if wanted.shape != got.shape:
        if wanted.size != got.size:
            remark = f"the reference is {shape_text(wanted.shape)}"
            return Comparison(name, layer, got.shape, np.nan, np.nan, False, remark)
        wanted, remark = _arranged(wanted, got)
    with np.errstate(all="ignore"):
        # Equal infinities have no difference.
        apart = np.where(got == wanted, 0.0, np.abs(got - wanted))
    difference, largest = float(np.max(apart, initial=0)), float(np.max(np.abs(wanted), initial=0))
    agrees = bool(difference <= tolerance * (largest or 1))
    remarks = [remark] if agrees else [_kind(got, wanted), remark]
    return Comparison(name, layer, got.shape, difference, largest, agrees, "; ".join(r for r in remarks if r))


def _arranged(wanted: Array, got: Array) -> tuple[Array, str]:
    """Return a reference of another shape in the network's: channels last turned, else the same values in a row."""
    if wanted.ndim == 4 and got.ndim == 4:
        turned = wanted.transpose(0, 3, 1, 2)
        if turned.shape == got.shape:
            return turned, "the reference has its channels last"
    return wanted.reshape(got.shape), f"the reference is {shape_text(wanted.shape)}"


def _kind(got: Array, wanted: Array) -> str:
    """Say what kind of difference it looks like, of those that conversions often make."""
    close = 1e-4 * float(np.abs(wanted).max(initial=0))
    if not np.isfinite(got).all():
        return "the network gives values that are not finite"
    if np.abs(got - np.maximum(wanted, 0)).max(initial=0) <= close:
        return "equal to it behind a ReLU: the reference is the value before the activation"
    if np.abs(np.maximum(got, 0) - wanted).max(initial=0) <= close:
        return "equal to it before a ReLU: the reference is the value behind the activation"
    if got.ndim > 1 and np.abs(got[:, ::-1] - wanted).max(initial=0) <= close:
        return "equal to it with the channels in opposite order"
    norm = float(np.vdot(wanted, wanted))
    factor = float(np.vdot(wanted, got)) / norm if norm else 0.0
    if factor and np.abs(got - factor * wanted).max(initial=0) <= abs(factor) * close:
        return f"equal to it times {factor:.6g}"
    return ""


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _listed(names: Iterable[str]) -> str:
    listed = [repr(name) for name in names]
    return ", ".join(listed[:12]) + (", ..." if len(listed) > 12 else "") or "none"
