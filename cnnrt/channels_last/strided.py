"""Strided slices as TensorFlow states them: places with masks, of values and of sizes.

Bit i of a mask is for entry i: `begin` and `end` mean "from the very beginning" and "to the very end", `shrink` takes
one place and drops the axis, `ellipsis` stands for all axes that are not mentioned, `new_axis` adds one
(tensorflow.org/api_docs/python/tf/strided_slice).
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from cnnrt.channels_last.constants import Constant
from cnnrt.channels_last.network import Network
from cnnrt.channels_last.regions import strided_slice
from cnnrt.channels_last.reshaping import reshape_item
from cnnrt.channels_last.shape_numbers import ShapeNumbers, shape_numbers
from cnnrt.channels_last.values import Flow, Place

Cut = tuple[int | None, int | None, int]
_WHOLE: Cut = (None, None, 1)


@attrs.frozen
class Masks:
    """The five masks."""

    begin: int = 0
    end: int = 0
    ellipsis: int = 0
    new_axis: int = 0
    shrink: int = 0


def cut_numbers(
    numbers: Sequence[int | None], starts: Sequence[int], ends: Sequence[int], steps: Sequence[int], masks: Masks
) -> ShapeNumbers | Constant | None:
    """Return some of the numbers, or one; None where there are no such ones."""
    if len(starts) != 1 or masks.new_axis or masks.ellipsis:
        return None
    if masks.shrink & 1:
        return shape_numbers([numbers[starts[0]]], scalar=True) if -len(numbers) <= starts[0] < len(numbers) else None
    cut = slice(None if masks.begin & 1 else starts[0], None if masks.end & 1 else ends[0], steps[0])
    return shape_numbers(list(numbers)[cut])


def axis_cuts(
    net: Network, place: Place, value: Flow, places: tuple[Sequence[int], Sequence[int], Sequence[int]], masks: Masks
) -> Flow:
    """Slice a value; the batch must be taken whole."""
    if value.failed:
        return value
    if value.sizes is None:
        return net.unknown_shape(place)
    if masks.new_axis:
        return net.problem(place, "it adds an axis", hint="use a reshape for that")
    cuts: list[Cut] = []
    dropped: set[int] = set()
    rank = 1 + value.rank
    for i, (start, end, step) in enumerate(zip(*places, strict=True)):
        if masks.ellipsis >> i & 1:
            cuts += [_WHOLE] * (rank - len(places[0]) + 1)
        elif masks.shrink >> i & 1:
            dropped.add(len(cuts))
            cuts.append((start, start + 1 if start != -1 else None, 1))
        else:
            cuts.append((None if masks.begin >> i & 1 else start, None if masks.end >> i & 1 else end, step))
    cuts += [_WHOLE] * (rank - len(cuts))
    if len(cuts) != rank:
        return net.problem(place, f"it cuts {len(cuts)} axes of a value that has {rank}")
    first = cuts[0]
    if 0 in dropped or first[2] != 1 or first[0] not in (None, 0) or (first[1] is not None and first[1] < 1 << 30):
        return net.problem(place, "it takes a part of the batch", expected="all items of a batch")
    inner = Place(f"{place.name}/cut", place.title) if dropped else place
    made = strided_slice(net, inner, value, cuts[1:])
    if made.failed or not dropped or made.sizes is None:
        return made
    return reshape_item(net, place, made, tuple(n for i, n in enumerate(made.sizes, start=1) if i not in dropped))
