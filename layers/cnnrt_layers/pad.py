"""Pad: values are put around the input, or cut off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs
import numpy as np

from cnnrt.errors import KeyValueError, ShapeError
from cnnrt.keys import choice, integers, number
from cnnrt.layer import Array, Shape, shape_text
from cnnrt.rounding import FLOAT32
from cnnrt_layers.axes import resolve_axes
from cnnrt_layers.rearrangement import Move, Rearrangement

LEAST_KEPT = {"constant": 0, "edge": 1, "reflect": 1, "symmetric": 0, "wrap": 0}
"""How much longer than the padding an axis has to be."""


@attrs.frozen(kw_only=True)
class Pad(Rearrangement):
    """Makes the input longer along some axes, at either end.

    Input of any shape; axis `axes[i]` becomes `before[i]` + `after[i]` longer. Where these are negative, as many values
    are cut off instead (modes other than `constant` do not take them). What is put there: with `constant`, always
    `value`; with `edge`, the nearest value of the input; with `reflect`, the values as in a mirror that stands on the
    outermost value, which is not repeated; with `symmetric`, as in one behind it, so that it is; with `wrap`, those of
    the other end.
    """

    type = "Pad"
    formula = "y[..., i, ...] = x[..., i - before, ...] where there is such a value, else what the mode says"
    example = """
        layer {
          type: "Pad"
          name: "pad1"
          before: [3, 3]
          after: [2, 2]
          mode: "reflect"
        }
    """
    suite = "cnnrt_layers.conformance.suites:PadSuite"

    before: tuple[int, ...] = integers(doc="values to put before the first one, for each of the axes")
    after: tuple[int, ...] = integers(doc="values to put behind the last one, for each of the axes")
    axes: tuple[int, ...] | None = integers(None, doc="the axes; absent, the last ones: rows and columns, if two")
    mode: str = choice("constant", choices={mode: mode for mode in LEAST_KEPT}, doc="what is put there")
    value: float = number(0.0, doc="what a constant padding consists of")

    def __attrs_post_init__(self) -> None:
        if len(self.after) != len(self.before):
            raise KeyValueError("after", f"expected as many as in before, {len(self.before)}, got {len(self.after)}")
        if self.axes is not None and len(self.axes) != len(self.before):
            raise KeyValueError("axes", f"expected as many as in before, {len(self.before)}, got {len(self.axes)}")
        for key, widths in (("before", self.before), ("after", self.after)):
            if self.mode != "constant" and min(widths) < 0:
                raise KeyValueError(key, f"mode 'constant' alone cuts off; expected at least 0, got {min(widths)}")

    def widths(self, shape: Shape) -> list[tuple[int, int]]:
        """Return the padding before and behind for every axis of an input; ShapeError where it has no such axes."""
        if len(self.before) > len(shape):
            raise ShapeError(f"{len(self.before)} axes are to be padded, an input of {shape_text(shape)} has fewer")
        last = range(len(shape) - len(self.before), len(shape))
        axes = resolve_axes(last if self.axes is None else self.axes, shape)
        found = [(0, 0)] * len(shape)
        for axis, before, after in zip(axes, self.before, self.after, strict=True):
            found[axis] = before, after
        return found

    def output_shapes(self, inputs: Sequence[Shape], weights: Mapping[str, Shape]) -> tuple[Shape, ...]:
        """Return the padded shape."""
        (shape,) = inputs
        result = []
        for size, (before, after) in zip(shape, self.widths(shape), strict=True):
            longest = max(before, after)
            most = max(0, size - LEAST_KEPT[self.mode])
            if self.mode in ("reflect", "symmetric", "wrap") and longest > most:
                raise ShapeError(
                    f"mode {self.mode!r} can put at most {most} values at either end of an axis of length {size}, not "
                    f"{longest}; the input is {shape_text(shape)}"
                )
            if self.mode == "edge" and longest and not size:
                raise ShapeError(f"an axis of the input {shape_text(shape)} has no values to repeat")
            if min(before, 0) + min(after, 0) + size < 0:
                raise ShapeError(f"more is cut off than an axis of the input {shape_text(shape)} holds")
            result.append(before + size + after)
        return (tuple(result),)

    def is_identity(self, inputs: Sequence[Shape]) -> bool:
        """Tell whether nothing is put anywhere."""
        return not any((*self.before, *self.after))

    def itemwise(self, inputs: Sequence[Shape]) -> bool:
        """Tell whether the first axis stays as it is."""
        return self.widths(inputs[0])[0] == (0, 0)

    def moves(self, x: Array, results: Sequence[Array]) -> Sequence[Move]:
        """Return the values that are kept, and what is put around them."""
        places: list[tuple[Index, Index | None]] = [((), ())]
        for size, (before, after) in zip(x.shape, self.widths(x.shape), strict=True):
            parts = _parts(self.mode, size, before, after)
            some: list[tuple[Index, Index | None]] = []
            for target, source in places:
                if source is None:  # the number goes along the whole of all other axes
                    some.append(((*target, slice(None)), None))
                else:
                    some += [((*target, at), None if taken is None else (*source, taken)) for at, taken in parts]
            places = some
        moves: list[Move] = []
        for target, source in places:
            into = results[0][target]
            moves.append((into, self.value if source is None else np.broadcast_to(x[source], into.shape)))
        return moves

    def error_bound(
        self, inputs: Sequence[Array], weights: Mapping[str, Array], exact: Sequence[Array]
    ) -> tuple[Array, ...]:
        """Return the rounding of the number that is put around the input; everything else only moves."""
        return tuple(np.where(value == self.value, FLOAT32 * abs(self.value), 0.0) for value in exact)


Index = tuple[slice, ...]


def _parts(mode: str, size: int, before: int, after: int) -> list[tuple[slice, slice | None]]:
    """Return which places of a padded axis hold which values of the input; one for several is repeated, None: none."""
    first, last = max(0, -before), size - max(0, -after)
    start = max(0, before)
    stop = start + last - first
    parts: list[tuple[slice, slice | None]] = [(slice(start, stop), slice(first, last))]
    if before > 0:
        parts.append((slice(0, before), _outside(mode, size, before, in_front=True)))
    if after > 0:
        parts.append((slice(stop, stop + after), _outside(mode, size, after, in_front=False)))
    return parts


def _outside(mode: str, size: int, count: int, *, in_front: bool) -> slice | None:
    match mode:
        case "edge":
            return slice(0, 1) if in_front else slice(size - 1, size)
        case "wrap":
            return slice(size - count, size) if in_front else slice(0, count)
        case "reflect":
            return _backwards(count if in_front else size - 2, count)
        case "symmetric":
            return _backwards(count - 1 if in_front else size - 1, count)
        case _:
            return None


def _backwards(start: int, count: int) -> slice:
    stop = start - count
    return slice(start, stop if stop >= 0 else None, -1)
