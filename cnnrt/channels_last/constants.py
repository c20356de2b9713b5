"""Numbers of a model that do not depend on its inputs: read when they are asked for, and combined without running it.

Graphs compute with their weights: an unfused batch normalisation divides gamma by the root of a variance for each
image anew. Here that is done once, in float64. Hostile graphs could let a few numbers grow into terabytes, so what is
computed is bounded: a result has at most as many values as its largest operand, or 2^20, and all results that are
computed at once have together at most 2^27.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from cnnrt.channels_last.values import Weight

MOST_VALUES = 1 << 20
_MOST_COMPUTED = 1 << 27
_DEEPEST = 20


class CannotCompute(Exception):
    """An operation on constants that is not done; the text says why."""


@attrs.frozen(eq=False)
class Constant:
    """Constant numbers in the axes of the source: `kind` is "float", "integer", "boolean" or "text".

    `depth`: how many operations are still to be done when the values are asked for.
    """

    name: str
    shape: tuple[int, ...]
    kind: str
    read: Callable[[], NDArray[Any]] = attrs.field(repr=False)
    depth: int = 0

    @property
    def count(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    def array(self) -> NDArray[Any]:
        """Return the values in `shape`; may be read-only."""
        return self.read().reshape(self.shape)

    def reshaped(self, shape: tuple[int, ...]) -> Constant:
        """Return the same values in another shape of as many."""
        return attrs.evolve(self, shape=shape)

    def weight(self, shape: tuple[int, ...], change: Callable[[NDArray[Any]], NDArray[Any]], *key: object) -> Weight:
        """Return the changed values as a weight of a shape; `key` tells this change from others."""
        return Weight(shape, lambda: change(self.array()), (self.read, self.shape, *key))


def constant_of(values: NDArray[Any], name: str = "") -> Constant:
    """Return an array as a constant."""
    kind = {"f": "float", "i": "integer", "u": "integer", "b": "boolean"}.get(values.dtype.kind, "text")
    return Constant(name, values.shape, kind, lambda: values)


@attrs.define
class Arithmetic:
    """Computes with constants, as much as one model may."""

    left: int = _MOST_COMPUTED

    def apply(self, name: str, function: Callable[..., NDArray[Any]], operands: Sequence[Constant]) -> Constant:
        """Return a function of one or two constants, value by value; raises CannotCompute.

        Floating-point numbers become float64. Small results are computed at once, large ones when they are asked for.
        """
        if any(o.kind == "text" for o in operands):
            raise CannotCompute("text is no number")
        try:
            shape = np.broadcast_shapes(*(o.shape for o in operands))
        except ValueError:
            shown = " and ".join("×".join(map(str, o.shape)) or "one value" for o in operands)
            raise CannotCompute(f"constants of the shapes {shown} do not fit one another") from None
        count = math.prod(shape)
        if count > max(MOST_VALUES, *(o.count for o in operands)):
            raise CannotCompute(f"it would make {count:,} constant values")

        def compute() -> NDArray[Any]:
            with np.errstate(all="ignore"):
                return np.asarray(function(*(_wide(o.array()) for o in operands)))

        depth = 1 + max(o.depth for o in operands)
        if count > MOST_VALUES:
            if depth > _DEEPEST:
                raise CannotCompute(f"more than {_DEEPEST} operations on {count:,} constant values")
            kinds = {o.kind for o in operands}
            return Constant(name, shape, "float" if "float" in kinds else "integer", compute, depth)
        self.spend(count + sum(o.count for o in operands))
        return constant_of(compute(), name)

    def spend(self, values: int) -> None:
        """Count values that are computed; raises CannotCompute where the model has used up what it may."""
        self.left -= values
        if self.left < 0:
            raise CannotCompute(f"the model computes more than {_MOST_COMPUTED:,} constant values")


def _wide(values: NDArray[Any]) -> NDArray[Any]:
    return values.astype(np.float64) if values.dtype.kind == "f" else values
