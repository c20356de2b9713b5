"""Values brought into another order of axes: nothing is moved before something depends on where it lies.

Permute and Reshape layers appear only here. Axes of one value are not told apart by their place, so moving them is a
Reshape, which costs nothing.
"""

from __future__ import annotations

from cnnrt.channels_last.network import Network
from cnnrt.channels_last.values import Flow, Place, item_here


def in_order(net: Network, place: Place, value: Flow, order: tuple[int, ...]) -> Flow:
    """Return the value with its axes in `order`."""
    if value.failed or value.order == order:
        return value
    if value.item is None:
        return net.unknown_shape(place)
    beside = Place(f"{place.name}/order", place.title)
    if _long_axes(value, value.order) == _long_axes(value, order) and value.sizes is not None:
        return net.layer(beside, "Reshape", [value], {"shape": (0, *item_here(value.sizes, order))}, order=order)
    axes = tuple(1 + value.order.index(axis) for axis in order)
    return net.layer(beside, "Permute", [value], {"order": (0, *axes)}, order=order, item=value.item)


def in_source_order(net: Network, place: Place, value: Flow) -> Flow:
    """Return the value with its axes, and those flattened into one, as they lie in the source."""
    value = unfolded(net, place, value)
    return in_order(net, place, value, tuple(range(value.rank)))


def unfolded(net: Network, place: Place, value: Flow) -> Flow:
    """Return a flattened image with its values in the source's order."""
    if value.failed or value.folded is None:
        return value
    image = apart(net, place, value)
    image = in_order(net, place, image, tuple(range(image.rank)))
    return net.layer(Place(f"{place.name}/flat", place.title), "Flatten", [image], order=(0,))


def apart(net: Network, place: Place, value: Flow) -> Flow:
    """Return a flattened image as an image again."""
    if value.failed or value.folded is None:
        return value
    folded = value.folded
    shape = (0, *item_here(folded.item, folded.order))
    return net.layer(
        Place(f"{place.name}/image", place.title), "Reshape", [value], {"shape": shape}, order=folded.order
    )


def lies_in_order(item: tuple[int, ...], order: tuple[int, ...]) -> bool:
    """Tell whether values whose axes lie in `order` lie as in the source, since the axes that moved have size 1."""
    long = [axis for axis in order if item[axis] != 1]
    return long == sorted(long)


def _long_axes(value: Flow, order: tuple[int, ...]) -> tuple[int, ...]:
    sizes = value.item or ()
    return tuple(axis for axis in order if sizes[axis] != 1)
