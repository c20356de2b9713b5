"""The network while it is made: inputs and layers one after the other, problems collected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from cnnrt.channels_last.constants import Arithmetic
from cnnrt.channels_last.values import (
    FAILED,
    INPUT,
    Flow,
    Item,
    Place,
    Step,
    Weight,
    item_here,
    item_there,
    shape_words,
    usual_order,
)
from cnnrt.errors import KeyValueError, PluginError, ShapeError
from cnnrt.findings import Findings
from cnnrt.vocabulary import layer_class
from netfile_spec import Value as KeyValue


@attrs.define(eq=False)
class Network:
    """What was made so far. `findings` take the problems; a rule that found one gives FAILED.

    `channels_last`: how items of three axes lie in the source where nothing says otherwise.
    """

    findings: Findings
    channels_last: bool = True
    steps: list[Step] = attrs.field(factory=list)
    arithmetic: Arithmetic = attrs.field(factory=Arithmetic)

    def input(self, name: str, item: Item | None) -> Flow:
        """Add an input; `item` is its shape in the source's axes, without the batch."""
        order = usual_order(len(item or ()), channels_last=self.channels_last)
        here = None if item is None else item_here(item, order)
        step = Step(name, f"input {name!r:.80}", INPUT, item=here, names=[name], open=item is None)
        self.steps.append(step)
        return Flow(step, item, order)

    def layer(
        self,
        place: Place,
        kind: str,
        inputs: Sequence[Flow],
        keys: Mapping[str, KeyValue] | None = None,
        weights: Mapping[str, Weight] | None = None,
        *,
        order: tuple[int, ...] | None = None,
        item: Item | None = None,
    ) -> Flow:
        """Add a layer and return its value, whose axes lie in `order` (None: as those of the first input).

        Its shape follows from the layer's own rule; where sizes of the inputs are open, `item` says what is known (in
        the source's axes).
        """
        if any(value.failed for value in inputs):
            return FAILED
        order = inputs[0].order if order is None else order
        steps = [value.step for value in inputs if value.step is not None]
        step = Step(place.name, place.title, kind, steps, dict(keys or {}), dict(weights or {}), names=[place.name])
        sizes = [known(s.item) for s in steps]
        try:
            layer = layer_class(kind)(**step.keys)
            shapes = [(1, *s) for s in sizes if s is not None]
            if len(shapes) == len(sizes):
                stored = layer.weight_shapes({name: w.shape for name, w in step.weights.items()}, shapes)
                result = layer.output_shapes(shapes, stored)[0]
                step.item = result[1:]
                item = item_there(step.item, order)
            elif item is not None:
                step.item = item_here(item, order)
        except (KeyValueError, PluginError, ShapeError) as error:
            return self.problem(place, str(error))
        self.steps.append(step)
        return Flow(step, item, order)

    def same(self, place: Place, value: Flow) -> Flow:
        """Return a value that has one more name."""
        if value.step is not None:
            value.step.names.append(place.name)
        return value

    def problem(self, place: Place, message: str, *, expected: str = "", hint: str = "") -> Flow:
        """Add a problem and return a failed value."""
        self.findings.problem(f"{place.title}: {message}", expected=expected, hint=hint)
        return FAILED

    def unknown_shape(self, place: Place) -> Flow:
        """Add the problem that a rule needs a shape that is not known."""
        return self.problem(
            place,
            "what it does depends on the shape of its input, which is not known here",
            hint="save the model with fixed sizes of its inputs (all but the batch)",
        )

    def axis(self, place: Place, axis: int, value: Flow) -> int | None:
        """Return an axis of the source, counted with the batch, as one of the item.

        None and a problem for the batch.
        """
        rank = 1 + value.rank
        resolved = axis + rank if axis < 0 else axis
        if 0 < resolved < rank:
            return resolved - 1
        reason = (
            "which is the batch" if resolved == 0 else f"of a value of shape {shape_words((None, *(value.item or ())))}"
        )
        self.problem(place, f"axis {axis}, {reason}", expected="an axis of each item")
        return None


def known(item: Item | None) -> tuple[int, ...] | None:
    """Return a shape where all of it is known."""
    if item is None or None in item:
        return None
    return tuple(n for n in item if n is not None)
