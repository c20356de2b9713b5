"""StridedSlice: a part of the input, every so many values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from cnnrt.errors import KeyValueError
from cnnrt.keys import integers
from cnnrt.layer import Array, Shape
from cnnrt_layers.axes import resolve_axes
from cnnrt_layers.rearrangement import Move, Rearrangement


@attrs.frozen(kw_only=True)
class StridedSlice(Rearrangement):
    """Takes the values from `starts` up to but without `ends`, `steps` apart, along each of the `axes`.

    Input of any shape. Places count from 0, negative ones from the end; those beyond an end mean that end, as in ONNX
    and Python: -9223372036854775807 as the end of a step of -1 goes to the very first value.
    """

    type = "StridedSlice"
    formula = "y = x[..., start:end:step, ...]"
    example = """
        layer {
          type: "StridedSlice"
          name: "every_other"
          axes: [2, 3]
          starts: [0, 1]
          ends: [9223372036854775807, -1]
          steps: [2, 2]
        }
    """
    suite = "cnnrt_layers.conformance.suites:StridedSliceSuite"

    axes: tuple[int, ...] = integers(doc="axes along which values are taken; negative counts from the end")
    starts: tuple[int, ...] = integers(doc="place of the first value, for each of the axes")
    ends: tuple[int, ...] = integers(doc="place behind the last value, for each of the axes")
    steps: tuple[int, ...] | None = integers(None, doc="distance between values, for each of the axes; absent, 1")

    def __attrs_post_init__(self) -> None:
        for key, given in (("starts", self.starts), ("ends", self.ends), ("steps", self.steps)):
            if given is not None and len(given) != len(self.axes):
                raise KeyValueError(key, f"expected one for each of {len(self.axes)} axes, got {len(given)}")
        if self.steps is not None and 0 in self.steps:
            raise KeyValueError("steps", "a step of 0 leads nowhere")

    def places(self, shape: Shape) -> list[range]:
        """Return which values are taken along each axis of an input; ShapeError where it has no such axes."""
        axes = resolve_axes(self.axes, shape)
        found = [range(size) for size in shape]
        steps = self.steps or (1,) * len(axes)
        for axis, start, end, step in zip(axes, self.starts, self.ends, steps, strict=True):
            found[axis] = range(*slice(start, end, step).indices(shape[axis]))
        return found

    def output_shapes(self, inputs: Sequence[Shape], weights: Mapping[str, Shape]) -> tuple[Shape, ...]:
        """Return how many values are taken along each axis."""
        counts = [_count(r) for r in self.places(inputs[0])]
        return (tuple(counts),)

    def is_identity(self, inputs: Sequence[Shape]) -> bool:
        """Tell whether everything is taken, in order."""
        return self.places(inputs[0]) == [range(size) for size in inputs[0]]

    def moves(self, x: Array, results: Sequence[Array]) -> Sequence[Move]:
        """Return the values that are taken."""
        return [(results[0], x[tuple(_slice(places) for places in self.places(x.shape))])]


def _count(places: range) -> int:
    """Return how many places there are; `len` fails beyond 2^63."""
    return max(0, -((places.start - places.stop) // places.step))


def _slice(places: range) -> slice:
    if not places:
        return slice(0, 0)
    # Before the first value there is no place that a stop could name: -1 is the last one.
    return slice(places.start, None if places.stop < 0 else places.stop, places.step)
