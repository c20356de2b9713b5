"""What takes or joins parts of values: concatenation, padding, slices, reductions, softmax, resizing."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from cnnrt.channels_last.axis_order import in_order, in_source_order, unfolded
from cnnrt.channels_last.network import Network
from cnnrt.channels_last.reshaping import reshape_item
from cnnrt.channels_last.values import FAILED, IMAGE_ORDER, Flow, Place, shape_words
from cnnrt.channels_last.windows import Sliding, image
from netfile_spec import Value as KeyValue

_MOST_COPIES = 64
_COLOURS = 3


def concatenate(net: Network, place: Place, values: Sequence[Flow], axis: int) -> Flow:
    """Join along an axis of the source, counted with the batch."""
    if not values or any(v.failed for v in values):
        return FAILED
    values = [unfolded(net, place, v) for v in values]
    first = values[0]
    if any(v.failed for v in values):
        return FAILED
    if any(v.item is None for v in values):
        return net.unknown_shape(place)
    if len({v.rank for v in values}) > 1:
        shown = ", ".join(shape_words((None, *(v.item or ()))) for v in values)
        return net.problem(place, f"values of the shapes {shown}", expected="as many axes each")
    own = net.axis(place, axis, first)
    if own is None:
        return FAILED
    order = next((v.order for v in values if v.order == IMAGE_ORDER), first.order)
    values = [in_order(net, place, v, order) for v in values]
    if any(v.failed for v in values):
        return FAILED
    lengths = [v.item[own] for v in values if v.item]
    length = None if None in lengths else sum(n for n in lengths if n is not None)
    item = tuple(length if i == own else n for i, n in enumerate(first.item or ()))
    here = values[0].axis(own)
    return net.layer(place, "Concat", values, {} if here == 1 else {"axis": here}, order=order, item=item)


def softmax(net: Network, place: Place, value: Flow, axis: int = -1, *, kind: str = "Softmax") -> Flow:
    """Softmax or LogSoftmax along an axis of the source, counted with the batch."""
    if value.failed:
        return value
    if value.item is None:
        return net.unknown_shape(place)
    own = net.axis(place, axis, value)
    if own is None:
        return FAILED
    here = value.axis(own)
    made = net.layer(place, kind, [value], {} if here == 1 else {"axis": here}, item=value.item)
    return made if made.failed else attrs.evolve(made, folded=value.folded)


def reduce(net: Network, place: Place, value: Flow, operation: str, axes: Sequence[int], *, keep: bool) -> Flow:
    """Reduce axes of the source, counted with the batch, by "mean", "sum", "max", "min" or "prod".

    `keep` their ones.
    """
    if value.failed:
        return value
    if value.item is None:
        return net.unknown_shape(place)
    value = unfolded(net, place, value)
    own = [net.axis(place, axis, value) for axis in axes]
    if None in own or value.failed or value.item is None:
        return FAILED
    chosen = sorted({axis for axis in own if axis is not None})
    item = tuple(1 if i in chosen else n for i, n in enumerate(value.item))
    if not chosen:
        return net.same(place, value)
    rows_and_columns = value.rank == 3 and sorted(value.axis(axis) for axis in chosen) == [2, 3]
    inner = place if keep else Place(f"{place.name}/pool", place.title)
    if rows_and_columns and operation in ("mean", "max"):
        made = net.layer(inner, "Pooling", [value], {"pool": operation, "global_pooling": True}, item=item)
    else:
        here = tuple(sorted(value.axis(axis) for axis in chosen))
        keys: dict[str, KeyValue] = {"operation": operation, "axes": here, "keepdims": True}
        made = net.layer(inner, "Reduction", [value], keys, item=item)
    if keep or made.failed:
        return made
    rest = tuple(n for i, n in enumerate(item) if i not in chosen)
    if None in rest:
        # What is left of an image of unknown size is its channels.
        return net.unknown_shape(place)
    if made.sizes is None:
        return (
            net.layer(place, "Flatten", [made], order=(0,), item=rest) if len(rest) == 1 else net.unknown_shape(place)
        )
    return reshape_item(net, place, made, tuple(n for n in rest if n is not None))


def pad(
    net: Network, place: Place, value: Flow, pads: Sequence[tuple[int, int]], mode: str = "constant", fill: float = 0.0
) -> Flow:
    """Put values around each axis of an item (before, after); negative numbers cut off."""
    if value.failed:
        return value
    if value.item is None:
        return net.unknown_shape(place)
    value = unfolded(net, place, value)
    if value.failed or value.item is None:
        return FAILED
    if len(pads) != value.rank:
        shown = shape_words((None, *value.item))
        return net.problem(place, f"paddings for {len(pads)} axes of a value of shape {shown}")
    named = sorted((value.axis(axis), pair) for axis, pair in enumerate(pads) if pair != (0, 0))
    if not named:
        return net.same(place, value)
    keys: dict[str, KeyValue] = {
        "axes": tuple(axis for axis, _ in named),
        "before": tuple(before for _, (before, _) in named),
        "after": tuple(after for _, (_, after) in named),
    }
    if mode != "constant":
        keys["mode"] = mode
    elif fill:
        keys["value"] = fill
    item = tuple(None if n is None else n + sum(pair) for n, pair in zip(value.item, pads, strict=True))
    return net.layer(place, "Pad", [value], keys, item=item)


def strided_slice(net: Network, place: Place, value: Flow, cuts: Sequence[tuple[int | None, int | None, int]]) -> Flow:
    """Take places start:end:step of each axis of an item; None: from the very beginning, to the very end."""
    if value.failed:
        return value
    value = unfolded(net, place, value)
    if value.failed:
        return value
    if value.sizes is None:
        return net.unknown_shape(place)
    if len(cuts) != value.rank:
        shown = shape_words((None, *value.sizes))
        return net.problem(place, f"it cuts {len(cuts)} axes of a value of shape {shown}")
    named = []
    for axis, (start, end, step) in enumerate(cuts):
        taken = range(*slice(start, end, step).indices(value.sizes[axis]))
        if not taken:
            return net.problem(place, f"it takes nothing of axis {axis + 1} of {shape_words((None, *value.sizes))}")
        if taken != range(value.sizes[axis]):
            # Counted down, the place behind the last value may lie before the first one.
            stop = taken.stop if taken.stop >= 0 else -value.sizes[axis] - 1
            named.append((value.axis(axis), taken.start, stop, step))
    if not named:
        return net.same(place, value)
    named.sort()
    keys: dict[str, KeyValue] = {
        "axes": tuple(n[0] for n in named),
        "starts": tuple(n[1] for n in named),
        "ends": tuple(n[2] for n in named),
    }
    if any(n[3] != 1 for n in named):
        keys["steps"] = tuple(n[3] for n in named)
    return net.layer(place, "StridedSlice", [value], keys)


def split(net: Network, place: Place, value: Flow, axis: int, sizes: Sequence[int]) -> list[Flow]:
    """Cut into pieces of these sizes along an axis of the source, counted with the batch."""
    failed = [FAILED] * len(sizes)
    value = unfolded(net, place, value)
    if value.failed:
        return failed
    if value.sizes is None:
        net.unknown_shape(place)
        return failed
    own = net.axis(place, axis, value)
    if own is None:
        return failed
    if sum(sizes) != value.sizes[own] or min(sizes, default=0) < 1:
        net.problem(place, f"pieces of {list(sizes)[:20]} of {value.sizes[own]} values")
        return failed
    pieces, start = [], 0
    for number, size in enumerate(sizes):
        cuts: list[tuple[int | None, int | None, int]] = [(None, None, 1)] * value.rank
        cuts[own] = (start, start + size, 1)
        name = f"{place.name}:{number}" if number else place.name
        pieces.append(strided_slice(net, Place(name, place.title), value, cuts))
        start += size
    return pieces


def resize(
    net: Network,
    place: Place,
    value: Flow,
    mode: str,
    size: tuple[int, int],
    *,
    align_corners: bool = False,
    half_pixel: bool = False,
) -> Flow:
    """Resize rows and columns of an image, "nearest" or "linear", with pixels laid in one of TensorFlow's three ways.

    Where two pixels are as near as one another TensorFlow takes the second one (with neither flag: rounds down).
    """
    keys: dict[str, KeyValue] = {"mode": mode, "size": size}
    if align_corners or not half_pixel:
        keys["coordinates"] = "align_corners" if align_corners else "asymmetric"
    if mode == "nearest":
        keys["rounding"] = "round_prefer_ceil" if align_corners or half_pixel else "floor"
    if value.item is None and value.step is not None and value.step.open:
        # Images of any size are made fit for the network: that is left to whoever reads them.
        return reshape_item(net, place, value, (*size, _COLOURS))
    value = image(net, place, value, Sliding("valid", channels_last=net.channels_last))
    return net.layer(place, "Resize", [value], keys, item=(None, None, value.item[2] if value.item else None))


def arg_max(net: Network, place: Place, value: Flow, axis: int) -> Flow:
    """Give the place of the largest value along an axis of the source, counted with the batch; the axis is dropped."""
    value = in_source_order(net, place, value)
    if value.failed or value.sizes is None:
        return value if value.failed else net.unknown_shape(place)
    own = net.axis(place, axis, value)
    if own is None:
        return FAILED
    inner = Place(f"{place.name}/place", place.title)
    made = net.layer(inner, "ArgMax", [value], {"axis": 1 + own})
    if made.failed or made.sizes is None:
        return made
    return reshape_item(net, place, made, tuple(n for i, n in enumerate(value.sizes) if i != own))


def rearrange(net: Network, place: Place, value: Flow, kind: str, block: int) -> Flow:
    """DepthToSpace or SpaceToDepth of an image, with the order of channels that TensorFlow has (block first)."""
    value = image(net, place, value, Sliding("valid", channels_last=net.channels_last))
    return net.layer(place, kind, [value], {"block": block}, item=(None, None, None))


def tile(net: Network, place: Place, value: Flow, counts: Sequence[int]) -> Flow:
    """Put copies of the value one behind the other, so many along each axis of the source, the batch's first (1)."""
    if value.failed:
        return value
    if len(counts) != 1 + value.rank or counts[0] != 1 or not all(1 <= n <= _MOST_COPIES for n in counts):
        shown = shape_words((None, *(value.item or ())))
        return net.problem(place, f"{list(counts)[:8]} copies of a value of shape {shown}", expected="a few copies")
    for axis, count in enumerate(counts):
        if count > 1:
            last = all(n == 1 for n in counts[axis + 1 :])
            inner = place if last else Place(f"{place.name}/{axis}", place.title)
            value = concatenate(net, inner, [value] * count, axis)
    return value
