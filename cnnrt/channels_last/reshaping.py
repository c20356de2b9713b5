"""Reshape, transpose and squeeze, in the axes of the source.

A transpose moves nothing: it only renames the axes. A reshape that flattens an image keeps the order in which its
values lie here, and what comes next has to know (dense.py permutes its matrix). Any other reshape needs the source's
order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import attrs

from cnnrt.channels_last.axis_order import apart, in_source_order, lies_in_order, unfolded
from cnnrt.channels_last.network import Network
from cnnrt.channels_last.values import INPUT, Flow, Folded, Place, item_here, shape_words, usual_order


def reshape(net: Network, place: Place, value: Flow, target: Sequence[int | None], batch: int | None) -> Flow:
    """Reshape to `target`, with the batch: None stands for the batch's size, -1 for the size that remains.

    `batch` is the one that the model's inputs state, None where they leave it open.
    """
    if value.failed:
        return value
    item = _target_item(net, place, value, target, batch)
    return reshape_item(net, place, value, item) if item is not None else Flow(None, None)


def reshape_item(net: Network, place: Place, value: Flow, item: tuple[int, ...]) -> Flow:
    """Reshape to items of a shape; as many values as there are must fit."""
    if value.failed:
        return value
    if value.item is None:
        return _settled_input(net, place, value, item)
    sizes = value.sizes
    if sizes is None:
        return net.unknown_shape(place)
    if math.prod(sizes) != math.prod(item) or min(item, default=1) < 1:
        return net.problem(place, f"items of shape {shape_words(sizes)} cannot have the shape {shape_words(item)}")
    if item == sizes:
        return net.same(place, value)
    if value.folded is not None:
        if value.folded.item == item:
            return apart(net, place, value)
        value = unfolded(net, place, value)
    order = usual_order(len(item), channels_last=net.channels_last)
    if _differ_by_ones(value, sizes, item, order):
        return _arranged(net, place, value, item, order)
    if len(item) == 1:
        flat = net.layer(place, "Flatten", [value], order=(0,))
        return attrs.evolve(flat, folded=None if lies_in_order(sizes, value.order) else Folded(sizes, value.order))
    value = in_source_order(net, place, value)
    order = order if lies_in_order(item, order) else tuple(range(len(item)))
    return _arranged(net, place, value, item, order)


def transpose(net: Network, place: Place, value: Flow, axes: Sequence[int]) -> Flow:
    """Transpose: axis i of the result is axis `axes[i]` of the value, counted with the batch."""
    if value.failed:
        return value
    if value.item is None:
        return net.unknown_shape(place)
    rank = 1 + value.rank
    axes = [a + rank if a < 0 else a for a in axes]
    if sorted(axes) != list(range(rank)):
        shown = shape_words((None, *value.item))
        return net.problem(place, f"the axes {list(axes)} of a value of shape {shown}", expected="each of them once")
    if axes[0] != 0:
        return net.problem(place, f"the axes {list(axes)} move the batch", expected="the batch first")
    value = unfolded(net, place, value)
    if value.failed or value.item is None:
        return value
    moved = [a - 1 for a in axes[1:]]
    item = tuple(value.item[a] for a in moved)
    order = tuple(moved.index(axis) for axis in value.order)
    return net.same(place, attrs.evolve(value, item=item, order=order))


def squeeze(net: Network, place: Place, value: Flow, axes: Sequence[int]) -> Flow:
    """Leave out axes of size 1, counted with the batch; none named: all of them but the batch."""
    if value.failed:
        return value
    if value.item is None:
        return net.unknown_shape(place)
    named = [net.axis(place, axis, value) for axis in axes]
    if None in named:
        return Flow(None, None)
    dropped = set(named) if named else {i for i, n in enumerate(value.item) if n == 1}
    wrong = [i for i in dropped if i is not None and value.item[i] != 1]
    if wrong:
        return net.problem(place, f"it drops an axis of a value of shape {shape_words((None, *value.item))}")
    kept = tuple(n for i, n in enumerate(value.item) if i not in dropped)
    if None in kept:
        return net.unknown_shape(place)
    return reshape_item(net, place, value, tuple(n for n in kept if n is not None))


def expand(net: Network, place: Place, value: Flow, axis: int) -> Flow:
    """Add an axis of size 1, counted with the batch."""
    if value.failed:
        return value
    if value.item is None and value.step is not None and value.step.open and axis == 0:
        # What reads one image has no batch; here every input has one.
        return net.same(place, value)
    if value.sizes is None:
        return net.unknown_shape(place)
    rank = 2 + value.rank
    resolved = axis + rank if axis < 0 else axis
    if not 0 < resolved < rank:
        return net.problem(place, f"axis {axis} of a value of shape {shape_words((None, *value.sizes))}")
    return reshape_item(net, place, value, (*value.sizes[: resolved - 1], 1, *value.sizes[resolved - 1 :]))


def without_axis(net: Network, place: Place, value: Flow, axis: int) -> Flow:
    """Leave out an axis of size 1, counted with the batch; the others stay in the order in which they lie here."""
    if value.failed:
        return value
    if value.sizes is None:
        return net.unknown_shape(place)
    dropped = axis - 1
    item = tuple(n for i, n in enumerate(value.sizes) if i != dropped)
    order = tuple(i - (i > dropped) for i in value.order if i != dropped)
    return _arranged(net, place, value, item, order)


def _target_item(
    net: Network, place: Place, value: Flow, target: Sequence[int | None], batch: int | None
) -> tuple[int, ...] | None:
    """Return the items' shape that a target with a batch means; None and a problem where it mixes items."""
    shown = shape_words(tuple(target))
    first, rest = target[:1], list(target[1:])
    if not first or None in rest or any(n is not None and n < -1 for n in target) or list(target).count(-1) > 1:
        net.problem(place, f"the shape {shown}", expected="the batch, then sizes of which one may be -1")
        return None
    sizes = value.sizes
    numbers = [n for n in rest if n is not None]
    if -1 in numbers:
        others = math.prod(n for n in numbers if n != -1)
        if sizes is None:
            net.unknown_shape(place)
            return None
        numbers[numbers.index(-1)] = math.prod(sizes) // max(others, 1)
    if first[0] in (None, -1, batch) and (sizes is None or math.prod(sizes) == math.prod(numbers)):
        return tuple(numbers)
    net.problem(
        place,
        f"from {shape_words((batch, *(value.item or ())))} to {shown} joins or divides the items of a batch",
        expected="each item by itself, with -1 or the batch's size in front",
    )
    return None


def _settled_input(net: Network, place: Place, value: Flow, item: tuple[int, ...]) -> Flow:
    """Take an input of unknown shape that is reshaped to a known one as an input of that shape."""
    if value.step is None or value.step.type != INPUT:
        return net.unknown_shape(place)
    order = usual_order(len(item), channels_last=net.channels_last)
    step = value.step
    step.name, step.item, step.names = place.name, item_here(item, order), [place.name]
    return Flow(step, item, order)


def _arranged(net: Network, place: Place, value: Flow, item: tuple[int, ...], order: tuple[int, ...]) -> Flow:
    """Give the value another shape without moving anything."""
    here = item_here(item, order)
    if len(here) == 1:
        return net.layer(place, "Flatten", [value], order=order)
    return net.layer(place, "Reshape", [value], {"shape": (0, *here)}, order=order)


def _differ_by_ones(value: Flow, sizes: tuple[int, ...], item: tuple[int, ...], order: tuple[int, ...]) -> bool:
    """Tell whether axes of size 1 are all that changes, and the others lie here as the result wants them."""
    if [n for n in sizes if n != 1] != [n for n in item if n != 1]:
        return False
    before = [i for i, n in enumerate(sizes) if n != 1]
    after = [i for i, n in enumerate(item) if n != 1]
    lie = [before.index(axis) for axis in value.order if sizes[axis] != 1]
    return lie == [after.index(axis) for axis in order if item[axis] != 1]
