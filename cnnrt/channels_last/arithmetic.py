"""Sums, products and limits: of two values, or of a value and a constant.

A constant of one number for each channel, or one for all, makes an affine step, which joining.py puts into the layer
before where it can. Two values broadcast by NumPy's rule from the last axis of the source.
"""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from cnnrt.channels_last.axis_order import in_order, in_source_order, unfolded
from cnnrt.channels_last.constants import Constant
from cnnrt.channels_last.network import Network
from cnnrt.channels_last.values import AFFINE, FAILED, Flow, Place, Step, Weight, shape_words
from netfile_spec import Value as KeyValue

_NAMES = {
    "sum": "adds",
    "prod": "multiplies",
    "max": "compares",
    "min": "compares",
    "sub": "subtracts",
    "div": "divides",
}


def combine(net: Network, place: Place, operation: str, first: Flow | Constant, second: Flow | Constant) -> Flow:
    """Combine two operands: "sum", "sub", "prod", "div", "max" or "min"; at least one is computed."""
    if isinstance(first, Flow) and isinstance(second, Flow):
        return _of_values(net, place, operation, first, second)
    if isinstance(first, Flow) and isinstance(second, Constant):
        return _with_constant(net, place, operation, first, second, reverse=False)
    if isinstance(first, Constant) and isinstance(second, Flow):
        return _with_constant(net, place, operation, second, first, reverse=True)
    return FAILED


def add_affine(net: Network, place: Place, value: Flow, weights: dict[str, Weight]) -> Flow:
    """Add an affine step with `scale`, `shift` or both, for axis 1 here."""
    if value.failed or value.step is None:
        return FAILED
    step = Step(place.name, place.title, AFFINE, [value.step], {}, weights, value.step.item, [place.name])
    net.steps.append(step)
    return attrs.evolve(value, step=step)


def limits(net: Network, place: Place, value: Flow, least: float | None, most: float | None) -> Flow:
    """Clip to `least` and `most`; None: no limit."""
    keys: dict[str, KeyValue] = {}
    if least is not None:
        keys["min"] = least
    if most is not None:
        keys["max"] = most
    kind = "ReLU" if (least, most) == (0, None) else "Clip"
    return value_by_value(net, place, value, kind, {} if kind == "ReLU" else keys)


def value_by_value(net: Network, place: Place, value: Flow, kind: str, keys: dict[str, KeyValue] | None = None) -> Flow:
    """Add a layer that treats every value alike, wherever it lies."""
    made = net.layer(place, kind, [value], keys, item=value.item)
    return made if made.failed else attrs.evolve(made, folded=value.folded, item=value.item)


def _per_channel(value: Flow, constant: Constant) -> Weight | None:
    """Return a constant as one number for each channel of axis 1 here, where it is that, or one number for all."""
    item = value.item
    if constant.kind not in ("float", "integer") or not item:
        return None
    channels = item[value.order[0]]
    if channels is None:
        return None
    if constant.count == 1 and len(constant.shape) <= 1 + len(item):
        return constant.weight((channels,), lambda c: np.full(channels, c.reshape(-1)[0]), "all", channels)
    shape = (1,) * (1 + len(item) - len(constant.shape)) + constant.shape
    last = value.order[0] + 1
    if len(shape) != 1 + len(item) or any(n != 1 for i, n in enumerate(shape) if i != last) or shape[last] != channels:
        return None
    folded = value.folded

    def values(stored: NDArray[Any]) -> NDArray[Any]:
        flat = stored.reshape(-1)
        return flat if folded is None else flat.reshape(folded.item).transpose(folded.order).reshape(-1)

    return constant.weight((channels,), values, folded)


def _with_constant(
    net: Network, place: Place, operation: str, value: Flow, constant: Constant, *, reverse: bool
) -> Flow:
    if value.failed:
        return value
    if value.item is None:
        return net.unknown_shape(place)
    if operation in ("max", "min") and constant.count == 1 and constant.kind in ("float", "integer"):
        number = float(str(np.float32(constant.array().reshape(-1)[0])))
        return limits(net, place, value, *((number, None) if operation == "max" else (None, number)))
    made = None
    if operation in ("sum", "sub", "prod") or (operation == "div" and not reverse):
        weight = _per_channel(value, constant)
        if weight is not None:
            made = add_affine(net, place, value, _affine_weights(operation, weight, reverse=reverse))
    return made or _with_constant_layer(net, place, operation, value, constant, reverse=reverse)


def _affine_weights(operation: str, weight: Weight, *, reverse: bool) -> dict[str, Weight]:
    if operation == "sum":
        return {"shift": weight}
    if operation == "prod":
        return {"scale": weight}
    if operation == "div":
        return {"scale": changed(weight, lambda w: 1 / w, "reciprocal")}
    if reverse:
        ones = Weight(weight.shape, lambda: -np.ones(weight.shape), ("minus one", weight.shape))
        return {"scale": ones, "shift": weight}
    return {"shift": changed(weight, lambda w: -w, "negative")}


def changed(weight: Weight, change: Any, key: str) -> Weight:
    """Return a weight with a function of its values, in float64."""

    def values() -> NDArray[Any]:
        with np.errstate(all="ignore"):
            return np.asarray(change(weight.values().astype(np.float64)))

    return Weight(weight.shape, values, (key, weight.key))


def _with_constant_layer(
    net: Network, place: Place, operation: str, value: Flow, constant: Constant, *, reverse: bool
) -> Flow:
    """Combine with a constant that has a layer of its own, the same for each item of a batch."""
    value = in_source_order(net, place, value) if value.rank != 3 else unfolded(net, place, value)
    if value.failed or value.item is None:
        return value
    rank = 1 + value.rank
    shape = (1,) * (rank - len(constant.shape)) + constant.shape
    fits = all(1 in (n, size) or n == size for n, size in zip(shape[1:], value.item, strict=False))
    if len(shape) != rank or shape[0] != 1 or not fits or constant.kind not in ("float", "integer"):
        return net.problem(
            place,
            f"it {_NAMES[operation]} a constant of shape {shape_words(constant.shape)} "
            f"and a value of shape {shape_words((None, *value.item))}",
            expected="a constant that can be repeated to the value's shape",
        )
    axes = (0, *(1 + axis for axis in value.order))
    here = tuple(shape[axis] for axis in axes[1:])
    weight = constant.weight(here, lambda c: c.reshape(shape).transpose(axes).reshape(here), axes)
    beside = Place(f"{place.name}/constant", place.title)
    flow = net.layer(beside, "Constant", [value], {}, {"value": weight}, order=value.order)
    operands = [flow, value] if reverse else [value, flow]
    return net.layer(
        place, "Eltwise", operands, {} if operation == "sum" else {"operation": operation}, order=value.order
    )


def _of_values(net: Network, place: Place, operation: str, first: Flow, second: Flow) -> Flow:
    if first.failed or second.failed:
        return FAILED
    if first.item is None or second.item is None:
        return net.unknown_shape(place)
    if first.folded != second.folded:
        first, second = unfolded(net, place, first), unfolded(net, place, second)
    if first.rank != second.rank:
        # From the last axis on, as NumPy does; the batch must stay the batch, so missing axes are put behind it.
        rank = max(first.rank, second.rank)
        shown = " and ".join(shape_words((None, *(v.item or ()))) for v in (first, second))
        return net.problem(
            place, f"it {_NAMES[operation]} values of the shapes {shown}", expected=f"two values of {1 + rank} axes"
        )
    second = in_order(net, place, second, first.order)
    keys: dict[str, KeyValue] = {} if operation == "sum" else {"operation": operation}
    made = net.layer(place, "Eltwise", [first, second], keys, item=first.item)
    return made if made.failed else attrs.evolve(made, folded=first.folded)
