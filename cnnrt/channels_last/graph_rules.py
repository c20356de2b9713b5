"""Rules that graphs of TensorFlow and of TFLite share: operators whose shapes, axes and places are inputs.

What differs between the two is where a graph keeps its options: rules that need some take them as arguments.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import attrs
import numpy as np

from cnnrt.channels_last import operands, regions
from cnnrt.channels_last.activations import activation
from cnnrt.channels_last.constants import Constant
from cnnrt.channels_last.network import Network
from cnnrt.channels_last.operands import failed
from cnnrt.channels_last.spaced import Spaced
from cnnrt.channels_last.strided import Masks
from cnnrt.channels_last.values import FAILED, Flow, Place
from netfile_spec import Value as KeyValue

Operand = operands.Operand | Spaced
Result = Operand | Sequence[Operand]


class Operation(Protocol):
    """A node or operator of a graph."""

    @property
    def place(self) -> Place:
        """The name for its layer, and how messages begin that are about it."""
        ...


@attrs.frozen(eq=False)
class Context:
    """What rules share: the network, and the batch that the model's inputs state (None: they leave it open)."""

    net: Network
    batch: int | None = None

    def computed(self, operation: Operation, operand: Operand) -> Flow:
        """Return an operand that must be computed by the layers before."""
        return operands.computed(self.net, operation.place, operand)

    def constant(self, operation: Operation, operand: Operand, what: str) -> Constant | None:
        """Return an operand that must be a constant; None, and a problem, where it is none."""
        return operands.constant(self.net, operation.place, operand, what)

    def numbers(self, operation: Operation, operand: Operand, what: str) -> tuple[int, ...] | None:
        """Return an operand that must be a short list of known integers; None, and a problem, where it is not."""
        return operands.known_numbers(self.net, operation.place, operand, what)


def shape_of(context: Context, operation: Operation, inputs: Sequence[Operand]) -> Result:
    """Sizes, of which the batch is unknown."""
    return operands.sizes_of(context.net, operation.place, inputs[0])


def expand(context: Context, operation: Operation, inputs: Sequence[Operand]) -> Result:
    """An axis of size 1 is added."""
    axes = context.numbers(operation, inputs[1], "its axis")
    return operands.expand(context.net, operation.place, inputs[0], axes[0]) if axes else FAILED


def transpose(context: Context, operation: Operation, inputs: Sequence[Operand]) -> Result:
    """Of computed values nothing moves before something depends on it."""
    axes = context.numbers(operation, inputs[1], "its order of axes")
    return FAILED if axes is None else operands.transpose(context.net, operation.place, inputs[0], axes)


def slice_plain(context: Context, operation: Operation, inputs: Sequence[Operand]) -> Result:
    """From a place on, so many values (-1: all)."""
    starts, counts = (context.numbers(operation, i, "where it cuts") for i in inputs[1:3])
    if starts is None or counts is None or failed(inputs):
        return FAILED
    if counts[:1] == (context.batch,) and starts[:1] == (0,):
        counts = (-1, *counts[1:])
    return operands.cut_counted(context.net, operation.place, inputs[0], starts, counts)


def slice_strided(context: Context, operation: Operation, inputs: Sequence[Operand], masks: Masks) -> Result:
    """Of sizes one or some of them, of values a region."""
    starts, ends, steps = (context.numbers(operation, i, "where it cuts") for i in inputs[1:4])
    if starts is None or ends is None or steps is None or failed(inputs):
        return FAILED
    return operands.cut(context.net, operation.place, inputs[0], (starts, ends, steps), masks)


def gather(context: Context, operation: Operation, inputs: Sequence[Operand]) -> Result:
    """Values by their places: of sizes only."""
    return operands.look_up(context.net, operation.place, inputs[0], inputs[1])


def split(context: Context, operation: Operation, inputs: Sequence[Operand], count: int | None) -> Result:
    """Parts: `count` of equal size, where the inputs are (axis, value); None: they are (value, sizes, axis)."""
    given, axis = (inputs[0], inputs[2]) if count is None else (inputs[1], inputs[0])
    axes = context.numbers(operation, axis, "its axis")
    sizes = context.numbers(operation, inputs[1], "its sizes") if count is None else count
    if not axes or sizes is None:
        return FAILED
    return operands.split(context.net, operation.place, context.computed(operation, given), axes[0], sizes)


def pad(context: Context, operation: Operation, inputs: Sequence[Operand], mode: str) -> Result:
    """Values put around; a third input is what a constant padding consists of."""
    pairs = operands.pad_pairs(context.net, operation.place, inputs[1])
    value = context.computed(operation, inputs[0])
    if pairs is None or value.failed:
        return FAILED
    fill_with = 0.0
    if len(inputs) > 2:
        constant = context.constant(operation, inputs[2], "what it pads with")
        if constant is None or constant.count != 1:
            return FAILED
        fill_with = float(constant.array().reshape(-1)[0])
    return regions.pad(context.net, operation.place, value, pairs, mode, fill_with)


def reduce(context: Context, operation: Operation, inputs: Sequence[Operand], how: str, *, keep: bool) -> Result:
    """A mean, sum, maximum, minimum or product along axes."""
    axes = context.numbers(operation, inputs[1], "its axes")
    if axes is None or failed(inputs):
        return FAILED
    return operands.reduce(context.net, operation.place, inputs[0], how, axes, keep=keep)


def fill(context: Context, operation: Operation, inputs: Sequence[Operand]) -> Result:
    """A constant of one number."""
    return operands.fill(context.net, operation.place, inputs[0], inputs[1])


def find_largest(context: Context, operation: Operation, inputs: Sequence[Operand]) -> Result:
    """The place of the largest value."""
    axes = context.numbers(operation, inputs[1], "its axis")
    value = context.computed(operation, inputs[0])
    if not axes or value.failed:
        return FAILED
    return regions.arg_max(context.net, operation.place, value, axes[0])


def repeat(context: Context, operation: Operation, inputs: Sequence[Operand]) -> Result:
    """Copies along axes."""
    counts = context.numbers(operation, inputs[1], "how often")
    if counts is None:
        return FAILED
    return regions.tile(context.net, operation.place, context.computed(operation, inputs[0]), counts)


def squared_difference(context: Context, operation: Operation, inputs: Sequence[Operand]) -> Result:
    """The square of a difference."""
    return operands.squared_difference(context.net, operation.place, inputs[0], inputs[1])


def total(context: Context, operation: Operation, inputs: Sequence[Operand]) -> Result:
    """One sum after the other."""
    return operands.total(context.net, operation.place, inputs)


def power(context: Context, operation: Operation, inputs: Sequence[Operand]) -> Result:
    """A constant exponent, the same for all values."""
    exponent = context.constant(operation, inputs[1], "its exponent")
    if exponent is None:
        return FAILED
    if isinstance(inputs[0], Constant):
        return operands.compute(context.net, operation.place, np.power, [inputs[0], exponent])
    if exponent.count != 1:
        return context.net.problem(operation.place, f"{exponent.count:,} exponents", expected="one for all values")
    keys: dict[str, KeyValue] = {"power": float(exponent.array().reshape(-1)[0])}
    return activation(context.net, operation.place, context.computed(operation, inputs[0]), "square", keys)
