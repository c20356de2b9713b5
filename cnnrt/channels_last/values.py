"""What flows through a conversion.

Steps, which become input and layer blocks, and values with the order of their axes.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import attrs
import numpy as np
from numpy.typing import NDArray

from netfile_spec import Value as KeyValue

Item = tuple[int | None, ...]
"""A shape without its batch dimension; None stands for a size that the model does not state."""
_Size = TypeVar("_Size", int, int | None)

INPUT = "Input"
"""The type of a step that is an input of the network."""
AFFINE = "Affine"
"""The type of a step that multiplies channels (axis 1) by `scale` and adds `shift`; it becomes a layer or a bias."""
IMAGE_ORDER = (2, 0, 1)
"""How the axes (rows, columns, channels) lie here: channels first."""


@attrs.frozen(eq=False)
class Weight:
    """A weight: its shape, how its values are made (any float dtype), and what tells it from others."""

    shape: tuple[int, ...]
    values: Callable[[], NDArray[Any]]
    key: Hashable

    def float32(self) -> NDArray[np.float32]:
        """Return the values, contiguous, rounded once; numbers beyond float32 become infinite."""
        with np.errstate(over="ignore"):
            return np.array(self.values(), np.float32, order="C").reshape(self.shape)


@attrs.define(eq=False)
class Step:
    """One block of the NetFile to be: `item` is its output's shape in NetFile axes, without the batch.

    `title` is how messages call it, `names` are those of the source's values that it stands for. `open`: it is an input
    whose shape the source leaves to what comes before the network (the reading of sound, say).
    """

    name: str
    title: str
    type: str
    inputs: list[Step] = attrs.field(factory=list, repr=False)
    keys: dict[str, KeyValue] = attrs.field(factory=dict)
    weights: dict[str, Weight] = attrs.field(factory=dict, repr=False)
    item: Item | None = None
    names: list[str] = attrs.field(factory=list)
    open: bool = False


@attrs.frozen
class Folded:
    """Axes that were flattened into one: their sizes in the source, and the order in which they lie here."""

    item: tuple[int, ...]
    order: tuple[int, ...]


@attrs.frozen(eq=False)
class Place:
    """Where a rule is called for: the name for its layer, and how messages begin that are about it."""

    name: str
    title: str


@attrs.frozen(eq=False)
class Flow:
    """A computed value.

    - `item`: the shape of one item in the axes of the source; None where nothing is known of it.
    - `order`: which of the item's axes lies where: axis j here (behind the batch) is axis `order[j]` there.
    - `folded`: set where the only axis is an image that was flattened and whose values lie in another order here.
    - `step`: None where a problem came before, so that nothing more should be said about what depends on it.
    """

    step: Step | None
    item: Item | None
    order: tuple[int, ...] = ()
    folded: Folded | None = None

    @property
    def failed(self) -> bool:
        """Whether it comes from something that was a problem."""
        return self.step is None

    @property
    def sizes(self) -> tuple[int, ...] | None:
        """The item's shape where all of it is known."""
        if self.item is None or None in self.item:
            return None
        return tuple(n for n in self.item if n is not None)

    @property
    def rank(self) -> int:
        """Number of the item's axes."""
        return len(self.item or ())

    def axis(self, source: int) -> int:
        """Return the axis here, counted with the batch, of an axis of the source, counted without."""
        return 1 + self.order.index(source)


FAILED = Flow(None, None)


def item_here(item: tuple[_Size, ...], order: tuple[int, ...]) -> tuple[_Size, ...]:
    """Return a shape in NetFile axes."""
    return tuple(item[axis] for axis in order)


def item_there(item: tuple[_Size, ...], order: tuple[int, ...]) -> tuple[_Size, ...]:
    """Return a shape in the axes of the source."""
    return tuple(item[order.index(axis)] for axis in range(len(order)))


def usual_order(rank: int, *, channels_last: bool = True) -> tuple[int, ...]:
    """Return how an item's axes lie here where nothing else is known: images channels first, others as they are."""
    return IMAGE_ORDER if rank == 3 and channels_last else tuple(range(rank))


def shape_words(shape: tuple[int | None, ...]) -> str:
    """Return a shape as messages show it: 1×224×?×3, or "one value"."""
    return "×".join("?" if n is None else str(n) for n in shape) or "one value"
