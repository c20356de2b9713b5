"""Random cases of the layers that only move values."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import assume
from hypothesis import strategies as st

from cnnrt.testing.case import Case, make_case
from cnnrt_layers import Constant, Crop, Pad, Permute, Reshape, Slice, StridedSlice
from cnnrt_layers.conformance.draws import SEEDS, Draw, image_shapes, tensor_shapes
from cnnrt_layers.pad import LEAST_KEPT


@st.composite
def constants(draw: Draw) -> Case:
    """Draw values for each item of a batch; those without an input are in tests of their own."""
    value = draw(tensor_shapes(least_rank=0, most_rank=4))
    return make_case(Constant(), [draw(tensor_shapes(least_rank=2))], {"value": value}, seed=draw(SEEDS))


@st.composite
def crops(draw: Draw) -> Case:
    """Draw parts of any place and size."""
    shape = draw(tensor_shapes())
    axis = draw(st.integers(0, len(shape) - 1))
    common = draw(st.booleans())
    offsets = [draw(st.integers(0, min(shape[axis:]) if common else size)) for size in shape[axis:]]
    offsets = offsets[:1] * len(offsets) if common else offsets
    kept = [draw(st.integers(0, size - offset)) for size, offset in zip(shape[axis:], offsets, strict=True)]
    layer = Crop(axis=axis - draw(st.sampled_from([0, len(shape)])), offset=tuple(offsets[:1] if common else offsets))
    return make_case(layer, [shape, (*shape[:axis], *kept)], seed=draw(SEEDS))


@st.composite
def pads(draw: Draw) -> Case:
    """Draw padding of all modes along any axes but the batch, with parts cut off."""
    shape = draw(tensor_shapes(least_rank=2))
    mode = draw(st.sampled_from(list(LEAST_KEPT)))
    axes = draw(st.lists(st.integers(1, len(shape) - 1), min_size=1, unique=True))
    widths = {axis: draw(st.tuples(*[st.integers(*_range(mode, shape[axis]))] * 2)) for axis in axes}
    if mode == "constant":
        assume(all(min(b, 0) + min(a, 0) + shape[axis] >= 0 for axis, (b, a) in widths.items()))
    before, after = zip(*widths.values(), strict=True)
    if axes == list(range(len(shape) - len(axes), len(shape))) and draw(st.booleans()):
        layer = Pad(before=before, after=after, mode=mode)
    else:
        from_end = draw(st.sampled_from([0, len(shape)]))
        stated = tuple(axis - from_end for axis in axes)
        layer = Pad(before=before, after=after, axes=stated, mode=mode, value=draw(st.sampled_from([0.0, -1.5])))
    return make_case(layer, [shape], seed=draw(SEEDS))


def _range(mode: str, size: int) -> tuple[int, int]:
    """Return the least and largest width that an axis of this length takes."""
    if mode in ("constant", "edge"):
        return (-2 if mode == "constant" else 0), 4
    return 0, size - LEAST_KEPT[mode]


@st.composite
def permutes(draw: Draw) -> Case:
    """Draw orders of all axes, or of the first few; every so often images to channels last, the most common one."""
    if draw(st.integers(0, 3)) == 0:
        return make_case(Permute(order=(0, 2, 3, 1)), [draw(image_shapes())], seed=draw(SEEDS))
    shape = draw(tensor_shapes())
    order = draw(st.permutations(range(len(shape))))
    named = draw(st.integers(1, len(shape)))
    return make_case(Permute(order=tuple(order[:named])), [shape], seed=draw(SEEDS))


@st.composite
def reshapes(draw: Draw) -> Case:
    """Draw new shapes whose dimensions are stated, kept or left over."""
    shape = draw(tensor_shapes())
    first = draw(st.integers(0, len(shape)))
    last = draw(st.integers(first, len(shape)))
    fixed = list(shape[first : first + (0 in shape[first:last])])  # an empty batch stays where it is
    free = shape[first + len(fixed) : last]
    parts = fixed + draw(st.permutations([p for size in free for p in _factors(size)]))
    new = []
    for place, size in enumerate(parts, start=first):
        kept = place < len(shape) and shape[place] == size
        new.append(0 if kept and (size == 0 or draw(st.booleans())) else size)
    if new and 0 not in shape[first:last] and draw(st.booleans()):
        new[draw(st.integers(0, len(new) - 1))] = -1
    layer = Reshape(
        shape=tuple(new or [1]),
        axis=first - draw(st.sampled_from([0, len(shape) + 1])),
        num_axes=-1 if last == len(shape) and draw(st.booleans()) else last - first,
    )
    return make_case(layer, [shape], seed=draw(SEEDS))


def _factors(size: int) -> tuple[int, ...]:
    return (2, size // 2) if size and size % 2 == 0 else (size,)


@st.composite
def slices(draw: Draw) -> Case:
    """Draw cuts along any axis: at some places, or into equal parts."""
    shape = draw(tensor_shapes())
    axis = draw(st.integers(0, len(shape) - 1))
    stated = axis - draw(st.sampled_from([0, len(shape)]))
    if draw(st.booleans()):
        points = sorted(draw(st.lists(st.integers(0, shape[axis]), min_size=1, max_size=3)))
        return make_case(Slice(axis=stated, slice_point=tuple(points)), [shape], seed=draw(SEEDS))
    able = [n for n in range(1, 5) if -(-shape[axis] // n) * (n - 1) < max(1, shape[axis]) and n <= 1 + shape[axis]]
    return make_case(Slice(axis=stated, parts=draw(st.sampled_from(able))), [shape], seed=draw(SEEDS))


@st.composite
def strided_slices(draw: Draw) -> Case:
    """Draw parts along some axes but the batch, in either direction, to and beyond the ends."""
    shape = draw(tensor_shapes(least_rank=2))
    axes = draw(st.lists(st.integers(1, len(shape) - 1), min_size=1, unique=True))
    places = st.integers(-8, 8) | st.sampled_from([-(2**63), 2**63 - 1])
    starts, ends = (tuple(draw(places) for _ in axes) for _ in range(2))
    steps = tuple(draw(st.sampled_from([1, 1, 2, 3, -1, -2])) for _ in axes)
    stated = tuple(axis - draw(st.sampled_from([0, len(shape)])) for axis in axes)
    some = None if all(s == 1 for s in steps) else steps
    return make_case(StridedSlice(axes=stated, starts=starts, ends=ends, steps=some), [shape], seed=draw(SEEDS))


MOVING_CASES: dict[str, Callable[[], st.SearchStrategy[Case]]] = {
    "constant": constants,
    "crop": crops,
    "pad": pads,
    "permute": permutes,
    "reshape": reshapes,
    "slice": slices,
    "stridedslice": strided_slices,
}
