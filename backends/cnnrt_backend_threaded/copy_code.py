"""Code for strided copies: which axes make up what is moved at a time, how the others are dealt out, and the loops.

What is moved at a time is a run of neighbouring values, or, where the input's neighbours are not those of the output,
a plane: along one of its axes the input's values are neighbours, along the other the output's. Squares of a plane are
transposed in registers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import attrs

from cnnrt_backend_threaded.emitter import Code, Index, Value
from cnnrt_backend_threaded.lane_moves import backwards, interleaved, taken_apart, transposed
from cnnrt_layers.strided_copy import Axis, StridedCopy

UNIT = 8192
"""Values of a unit, if there are so many: what it costs to find out where one begins counts little then."""
FEW = 4
"""So many vectors are interleaved, or taken apart."""


@attrs.frozen
class CopyPlan:
    """How a copy is cut. A unit is one place along the axes of `outer`, and one of `parts` of the first of `inner`.

    The last `at_once` axes of `inner` are what is moved at a time.
    """

    copy: StridedCopy
    outer: tuple[Axis, ...]
    inner: tuple[Axis, ...]
    parts: int
    at_once: int

    @property
    def units(self) -> int:
        """How many units there are."""
        return math.prod(axis.count for axis in self.outer) * self.parts


def plan_copy(copy: StridedCopy, lanes: int) -> CopyPlan:
    """Return how a copy is cut for vectors of so many lanes."""
    *outer, last = copy.axes
    inner = [last]
    neighbours = [axis for axis in outer if axis.source == 1]
    if last.target == 1 and abs(last.source) > 1 and neighbours:
        outer.remove(neighbours[-1])
        inner = sorted((neighbours[-1], last), key=lambda axis: -axis.count)  # the longer one can be cut
    at_once = len(inner)
    while outer and math.prod(axis.count for axis in inner) < UNIT:
        inner.insert(0, outer.pop())
    least = 1 if len(inner) > at_once else 4 * lanes
    parts = min(math.prod(axis.count for axis in inner) // UNIT, inner[0].count // least)
    return CopyPlan(copy, tuple(outer), tuple(inner), max(1, parts), at_once)


def emit_copies(code: Code, plans: Sequence[CopyPlan], outputs: Sequence[Value], source: Value) -> None:
    """Write code for the units of all copies, those of the first one first."""
    start = 0
    for plan in plans:
        first = code.larger(code.sub(code.first, start), 0)
        last = code.smaller(code.sub(code.last, start), plan.units)
        with code.loop(first, last) as unit:
            _unit(code, plan, outputs[plan.copy.output], source, unit)
        start += plan.units


def _unit(code: Code, plan: CopyPlan, target: Value, source: Value, unit: Index) -> None:
    copy = plan.copy
    *places, part = code.split(unit, *(axis.count for axis in plan.outer[1:]), plan.parts)
    if not plan.outer:
        places = []
    to, of = _moved(code, copy.target, copy.source, plan.outer, places)
    count = plan.inner[0].count
    bounds: tuple[Index, Index] = (0, count)
    if plan.parts > 1:
        ends = (part, code.add(part, 1))
        bounds = code.divide(code.mul(ends[0], count), plan.parts), code.divide(code.mul(ends[1], count), plan.parts)
    _loops(code, plan, code.at(target, to), code.at(source, of), bounds)


def _loops(code: Code, plan: CopyPlan, target: Value, source: Value, bounds: tuple[Index, Index]) -> None:
    """Go through the inner axes, of the first only from one bound to the other."""
    rows = plan.inner[: len(plan.inner) - plan.at_once]

    def along(number: int, target: Value, source: Value) -> None:
        if number == len(rows):
            own = bounds if not rows else (0, plan.inner[number].count)
            _move(code, plan, target, source, own)
            return
        axis = rows[number]
        with code.loop(*(bounds if number == 0 else (0, axis.count))) as place:
            to, of = _moved(code, 0, 0, [axis], [place])
            along(number + 1, code.at(target, to), code.at(source, of))

    along(0, target, source)


def _moved(code: Code, to: Index, of: Index, axes: Sequence[Axis], places: Sequence[Index]) -> tuple[Index, Index]:
    """Return two offsets, moved to places along axes."""
    for axis, place in zip(axes, places, strict=True):
        to = code.add(to, code.mul(place, axis.target))
        of = code.add(of, code.mul(place, axis.source))
    return to, of


def _move(code: Code, plan: CopyPlan, target: Value, source: Value, bounds: tuple[Index, Index]) -> None:
    """Move a run, or a plane whose first axis goes from one bound to the other."""
    if plan.at_once == 2:
        _plane(code, plan.inner[-2], plan.inner[-1], target, source, bounds)
        return
    axis = plan.inner[-1]
    value = plan.copy.value
    if axis.target == 1 and value is None and axis.source == 1:
        start, stop = bounds
        code.copy(code.at(target, start), code.at(source, start), code.sub(stop, start))
    elif axis.target == 1 and (value is not None or axis.source == 0):
        filling = code.broadcast(source) if value is None else code.constant(value)
        with _vectors(code, axis.count, bounds) as (at, count):
            code.store(filling, target, at, count)
    elif axis.target == 1 and axis.source == -1:
        with _vectors(code, axis.count, bounds) as (at, count):
            seen = code.load(source, code.sub(0, code.add(at, count - 1)), count)
            code.store(backwards(code, seen, count), target, at, count)
    else:
        with code.loop(*bounds) as place:
            seen = (
                code.float_value(value) if value is not None else code.load_value(source, code.mul(place, axis.source))
            )
            code.store_value(seen, target, code.mul(place, axis.target))


def _plane(code: Code, one: Axis, other: Axis, target: Value, source: Value, bounds: tuple[Index, Index]) -> None:
    """Move a plane; `bounds` are those of the axis `one`."""
    read, written = (one, other) if one.source == 1 else (other, one)
    lanes = code.lanes
    if written.count <= FEW and read.target == written.count and read.count >= lanes:
        with _vectors(code, read.count, bounds if read is one else (0, read.count)) as (at, _):
            seen = [code.load(source, code.add(at, g * written.source)) for g in range(written.count)]
            for g, vector in enumerate(interleaved(code, seen)):
                code.store(vector, target, code.add(code.mul(at, written.count), g * lanes))
        return
    if read.count <= FEW and written.source == read.count and written.count >= lanes:
        with _vectors(code, written.count, bounds if written is one else (0, written.count)) as (at, _):
            seen = [code.load(source, code.add(code.mul(at, read.count), g * lanes)) for g in range(read.count)]
            for g, vector in enumerate(taken_apart(code, seen)):
                code.store(vector, target, code.add(at, g * read.target))
        return

    def square(at_read: Index, wide: int, at_written: Index, high: int) -> None:
        start = code.add(at_read, code.mul(at_written, written.source))
        rows = [code.load(source, code.add(start, r * written.source), wide) for r in range(high)]
        columns = transposed(code, rows + [code.zero()] * (lanes - high))
        start = code.add(at_written, code.mul(at_read, read.target))
        for c in range(wide):
            code.store(columns[c], target, code.add(start, c * read.target), high)

    with _vectors(code, one.count, bounds) as (at, count), _vectors(code, other.count, (0, other.count)) as (by, rest):
        square(at, count, by, rest) if one is read else square(by, rest, at, count)


@contextmanager
def _vectors(code: Code, count: int, bounds: tuple[Index, Index]) -> Iterator[tuple[Index, int]]:
    """Go from one bound to the other, a vector at a time: its place and how many values it has.

    The last one overlaps the one before it: the same values once more. Where there are fewer than a vector has, they
    are not cut.
    """
    if count <= code.lanes:
        yield 0, count
        return
    start, stop = bounds
    with code.loop(start, stop, code.lanes) as at:
        yield code.smaller(at, code.sub(stop, code.lanes)), code.lanes
