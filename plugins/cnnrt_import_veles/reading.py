"""A unit while it is read: its data, checked; what it reads and gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import numpy as np

from cnnrt.layer import Array
from cnnrt.model_builder import UNKNOWN, ModelBuilder
from cnnrt_import_veles.contents import Unit
from netfile_spec import Value
from netfile_spec.problems import quoted

_LARGEST = 2**31 - 1
_LARGEST_NUMBER = 1e15


@attrs.frozen
class Given:
    """A value that a unit gives: its name, and the number of channels where it is images and that is known."""

    name: str
    channels: int | None = None


UNKNOWN_VALUE = Given(UNKNOWN)
"""What a unit would give, had it not been a problem."""


@attrs.frozen
class Reading:
    """A unit, where it is (for messages), the value that it reads, and the model that its layers are added to."""

    unit: Unit
    place: str
    bottom: Given
    model: ModelBuilder

    def layer(
        self,
        type: str,
        name: str,
        keys: Mapping[str, Value] | None = None,
        weights: Mapping[str, Array] | None = None,
        *,
        bottom: str | None = None,
    ) -> str:
        """Add a layer, named by the unit's number, that reads `bottom` or what the unit reads; return its name."""
        read = self.bottom.name if bottom is None else bottom
        return self.model.layer(type, f"{name}{self.unit.number}", [read], keys, weights)

    def problem(self, message: str, *, expected: str = "", hint: str = "") -> Given:
        """Add a problem of this unit."""
        return Given(self.model.problem(self.place, message, expected=expected, hint=hint))

    def sizes(self, key: str, count: int, least: int) -> tuple[int, ...] | None:
        """Return `count` whole numbers of at least `least`; otherwise None, after a problem."""
        found = self.unit.data.get(key)
        values = found if isinstance(found, list) else [found]
        if len(values) == count and all(type(size) is int and least <= size <= _LARGEST for size in values):
            return tuple(values)
        kind = "a whole number" if count == 1 else f"{count} whole numbers"
        self.problem(f"its {key} is {_shown(found)}", expected=f"{kind} of at least {least}")
        return None

    def number(self, key: str, default: float | None = None) -> float | None:
        """Return a number; None after a problem where it is none, or missing without a default."""
        found = self.unit.data.get(key)
        value = default if found is None else found
        if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _LARGEST_NUMBER:
            return float(value)
        self.problem(f"its {key} is {_shown(found)}", expected="a number")
        return None

    def matrix(self) -> Array | None:
        """Return the weights as (outputs, values that each output sees), float32; None after a problem."""
        weight = self._array("weights", 2)
        if weight is not None and self.unit.data.get("weights_transposed") is True:
            return np.ascontiguousarray(weight.T)
        return weight

    def with_bias(self, weight: Array) -> Mapping[str, Array] | None:
        """Return the weight with its bias, if there is one; None after a problem."""
        if self.unit.data.get("include_bias", True) is False:
            return {"weight": weight}
        bias = self._array("bias", 1)
        if bias is None:
            return None
        if len(bias) != len(weight):
            self.problem(f"{len(bias)} biases for {len(weight)} outputs", expected="one for each")
            return None
        return {"weight": weight, "bias": bias}

    def _array(self, key: str, rank: int) -> Array | None:
        reference = self.unit.data.get(key)
        if not isinstance(reference, str) or not reference.startswith("@"):
            self.problem(f"its {key} is no reference to an array", expected=f'"{key}": "@name"')
            return None
        array = self.unit.read(reference[1:])
        if array.ndim != rank or array.dtype.kind not in "fiu" or not array.size:
            shown = f"its {key} ({quoted(reference)}) has {array.ndim} dimensions"
            self.problem(shown, expected=f"{rank}, of numbers")
            return None
        with np.errstate(all="ignore"):
            return np.ascontiguousarray(array, np.float32)


def _shown(value: Any) -> str:
    """Return what contents.json says, shortly."""
    if value is None:
        return "missing"
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, list) and len(value) <= 8 and not any(isinstance(item, list | dict) for item in value):
        return f"[{', '.join(_shown(item) for item in value)}]"
    if isinstance(value, list | dict):
        return f"a {type(value).__name__}"
    return "a large number" if abs(value) >= _LARGEST_NUMBER else f"{value:g}"
