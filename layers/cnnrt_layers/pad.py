"""Pad: values are put around the input, or cut off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs
import numpy as np

from cnnrt.errors import KeyValueError, ShapeError
from cnnrt.keys import choice, integers, number
from cnnrt.layer import Array, Layer, Shape, shape_text
from cnnrt_layers.axes import resolve_axes

LEAST_KEPT = {"constant": 0, "edge": 1, "reflect": 1, "symmetric": 0, "wrap": 0}
"""How much longer than the padding an axis has to be."""


@attrs.frozen(kw_only=True)
class Pad(Layer):
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

    def flops(self, inputs: Sequence[Shape], outputs: Sequence[Shape], weights: Mapping[str, Shape]) -> int:
        """Return 0: values are only moved."""
        return 0

    def reference(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        """Cut off what is to be cut off, then pad; shapes and dtypes as in `Layer.reference`."""
        (x,) = inputs
        widths = self.widths(x.shape)
        kept = x[tuple(slice(max(0, -b), size - max(0, -a)) for size, (b, a) in zip(x.shape, widths, strict=True))]
        added = [(max(0, before), max(0, after)) for before, after in widths]
        if self.mode == "constant":
            return (np.pad(kept, added, constant_values=self.value),)
        return (np.pad(kept, added, mode=self.mode),)  # type: ignore[call-overload]
