"""Where every value lives: slots of a frame, most of them places in one arena that values share over time.

A value holds its place from the step that writes it to the last step that reads it; then the place is free for
others. Inputs and outputs are arrays of the caller, outside the arena.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import attrs
import numpy as np

from cnnrt.backend import BufferSpec
from cnnrt.errors import CnnrtError
from cnnrt.parts_in_place import parts_of_wholes
from cnnrt.passes.split_batch import JoinItems, TakeItems
from cnnrt.placement import Placed
from cnnrt.tensor import TensorType

ALIGNMENT = 64
"""Bytes; a cache line, and the widest vector of today's processors."""

_LARGEST_ARENA = 1 << 62


@attrs.frozen
class View:
    """A slot that shows the bytes of another one in another shape; with an `offset`, some of them from there on."""

    slot: int
    root: int
    offset: int | None = None


@attrs.frozen
class Window:
    """A slot that shows some items of another one: from part to part the next `items`."""

    slot: int
    whole: int
    items: int


@attrs.frozen
class Home:
    """Memory of a backend's own: that of one segment, whose values are aligned to so many bytes.

    `device`: the device that has it; empty: it is a part of the process's memory.
    """

    segment: int
    alignment: int
    device: str = ""


@attrs.frozen
class Buffers:
    """The slots of a frame, and which of them are filled for each call.

    `inputs` and `outputs` are slots of arrays handed in and handed back; `views` must be renewed for each call
    since their roots are such arrays, `views_of_parts` for each part of a batch that `windows` show; `results` names,
    for each wanted value, its slot and whether it has to be copied because its bytes belong to somebody else as well.
    `homes`: the bytes of the arenas in memory of the backends' own, by where that is.
    """

    specs: tuple[BufferSpec, ...]
    slots: Mapping[str, int]
    workspaces: tuple[int, ...]
    arena_bytes: int
    homes: Mapping[Home, int]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    views: tuple[View, ...]
    windows: tuple[Window, ...]
    views_of_parts: tuple[View, ...]
    results: tuple[tuple[int, bool], ...]


@attrs.define
class _Span:
    """Bytes that are needed from step `first` to step `last`, both included; `home`: outside of the frame's arena."""

    nbytes: int
    first: int
    last: int
    offset: int = -1
    home: Home | None = None


def plan_buffers(
    placed: Sequence[Placed],
    types: Mapping[str, TensorType],
    inputs: Sequence[str],
    wanted: Sequence[str],
    homes: Sequence[Home | None] = (),
) -> Buffers:
    """Return a place for every value and workspace. `wanted` are the values to return, in order.

    `homes` tells which steps compute in memory of their backend's own; by default none.
    """
    homes = homes or [None] * len(placed)
    slots = {name: i for i, name in enumerate(types)}
    parts = parts_of_wholes(placed, types)
    root = {name: parts[name].whole if name in parts else name for name in types}
    start = {name: part.offset for name, part in parts.items()}
    windows: dict[str, str] = {}  # values that are a part of another one
    for p in placed:
        if isinstance(p.node.layer, TakeItems):
            windows[p.node.outputs[0]] = p.node.inputs[0]
        elif isinstance(p.node.layer, JoinItems):
            windows[root[p.node.inputs[0]]] = p.node.outputs[0]
        elif p.kernel is None and len(p.node.inputs) == 1:
            root[p.node.outputs[0]] = root[p.node.inputs[0]]
    handed_in = set(inputs)
    handed_back = [r for r in dict.fromkeys(root[v] for v in wanted) if r not in handed_in]

    spans: dict[str, _Span] = {}
    for step, p in enumerate(placed):
        for value in p.node.outputs:
            spans.setdefault(root[value], _Span(0, step, step))
        for value in (*p.node.inputs, *p.node.outputs):
            if root[value] in spans:
                spans[root[value]].last = step
    for name, span in spans.items():
        span.nbytes = types[name].nbytes
    for whole in windows.values():
        if whole in spans:
            spans[whole].first = 0  # the first part is written before the last one is read
    passing = set(windows)
    outside = handed_in.union(handed_back, passing)
    inside = {name: span for name, span in spans.items() if name not in outside}
    for name, home in _homes(placed, homes, root).items():
        if name in inside and name not in windows.values():  # of which the frame shows parts
            inside[name].home = home
    scratch = [
        _Span(p.kernel.workspace(p.call) if p.kernel else 0, step, step, home=home)
        for step, (p, home) in enumerate(zip(placed, homes, strict=True))
    ]
    spans_of: dict[Home | None, list[_Span]] = {None: []}
    for span in (*inside.values(), *scratch):
        spans_of.setdefault(span.home, []).append(span)
    bytes_of = {home: _placed_in(home, own) for home, own in spans_of.items()}

    nowhere = _Span(0, 0, 0)
    specs = []
    for name, t in types.items():
        span = inside.get(root[name], nowhere)
        view_of = slots[root[name]] if name != root[name] else None
        offset = None if span is nowhere else span.offset + start.get(name, 0)
        specs.append(BufferSpec(t, offset, span.home is not None, view_of))
    specs += [BufferSpec(TensorType((s.nbytes,), "uint8"), s.offset, s.home is not None) for s in scratch]

    def views(roots: Collection[str]) -> tuple[View, ...]:
        shown = ((name, r) for name, r in root.items() if name != r and r in roots)
        return tuple(View(slots[name], slots[r], start.get(name)) for name, r in shown)

    results, given = [], set(handed_in)
    for value in wanted:
        results.append((slots[value], root[value] in given))
        given.add(root[value])
    return Buffers(
        specs=tuple(specs),
        slots=slots,
        workspaces=tuple(len(types) + i for i in range(len(placed))),
        arena_bytes=bytes_of[None],
        homes={home: nbytes for home, nbytes in bytes_of.items() if home is not None},
        inputs=tuple(slots[name] for name in inputs),
        outputs=tuple(slots[name] for name in handed_back),
        views=views(outside - passing),
        windows=tuple(Window(slots[v], slots[whole], types[v].shape[0]) for v, whole in windows.items()),
        views_of_parts=views(passing),
        results=tuple(results),
    )


def _homes(placed: Sequence[Placed], homes: Sequence[Home | None], root: Mapping[str, str]) -> dict[str, Home | None]:
    """Return for each value the home that all steps share that write or read it; None where they share none."""
    found: dict[str, Home | None] = {}
    for p, home in zip(placed, homes, strict=True):
        if p.kernel is not None:
            for value in (*p.node.inputs, *p.node.outputs):
                found[root[value]] = home if found.get(root[value], home) == home else None
    return found


def _placed_in(home: Home | None, spans: Sequence[_Span]) -> int:
    """Give each span an offset; return the arena's size."""
    if home is None:
        return _pack(spans, ALIGNMENT)
    return _share(spans, home.alignment) if home.device else _pack(spans, home.alignment)


def _share(spans: Sequence[_Span], alignment: int) -> int:
    """Give spans offsets so that two either begin at the same one, at different times, or do not overlap.

    So a device can keep them in buffers of their own. It takes some more memory than `_pack`, but parts of one buffer
    cost time: the kernels of AlexNet took 0.93 ms on an H200 in buffers of their own, and 1.35 ms in parts of one.
    Largest first, each in the first buffer that is free then: as large, since what came before was no smaller.
    """
    shared: list[list[_Span]] = []
    total = 0
    for span in sorted(spans, key=lambda s: (-s.nbytes, s.first)):
        free = (own for own in shared if all(s.last < span.first or span.last < s.first for s in own))
        own = next(free, None)
        if own is None:
            span.offset = total
            total = _aligned(total + span.nbytes, alignment)
            if span.nbytes:
                shared.append([span])
        else:
            span.offset = own[0].offset
            own.append(span)
    return total


def _pack(spans: Sequence[_Span], alignment: int) -> int:
    """Give each span an offset so that no two that live at the same time overlap; return the arena's size.

    Largest first, each at the lowest gap that fits: the greedy-by-size strategy of Pisarchyk and Lee,
    "Efficient Memory Management for Deep Neural Net Inference" (2020), section 5.
    """
    taken = sum(_aligned(span.nbytes, alignment) for span in spans)
    if taken > _LARGEST_ARENA:
        raise CnnrtError("computing this needs more memory than any machine has: use smaller inputs or a smaller batch")
    # What is placed, in the order of the offsets, as rows of an array: thousands of values may live at the same time.
    placed = np.empty((4, 0), np.int64)
    total = 0
    for span in sorted(spans, key=lambda s: (-s.nbytes, s.first)):
        if span.nbytes == 0:
            span.offset = 0
            continue
        first, last, start, end = placed
        _, _, start, end = placed[:, (first <= span.last) & (last >= span.first)]
        gap_starts = np.concatenate(([0], np.maximum.accumulate(end)))
        gap_ends = np.concatenate((start, [_LARGEST_ARENA]))
        span.offset = int(gap_starts[np.argmax(gap_starts + span.nbytes <= gap_ends)])
        row = (span.first, span.last, span.offset, _aligned(span.offset + span.nbytes, alignment))
        placed = np.insert(placed, int(np.searchsorted(placed[2], span.offset)), row, axis=1)
        total = max(total, span.offset + span.nbytes)
    return total


def _aligned(nbytes: int, alignment: int) -> int:
    return -(-nbytes // alignment) * alignment
