"""What a file of Torch7 consists of. Tables and objects may hold themselves, and be held in many places."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import attrs
import numpy as np

from cnnrt.layer import Array, Shape


class Fault(Exception):
    """A file that cannot be read; the text says why."""


@attrs.define(eq=False)
class Table:
    """A table of Lua: values by key. Keys are numbers, text and truth values, or tables and objects by identity."""

    plain: dict[Any, Any] = attrs.field(factory=dict, repr=False)
    by_identity: dict[int, Any] = attrs.field(factory=dict, repr=False)

    def set(self, key: Any, value: Any) -> None:
        """Put a value under a key."""
        if isinstance(key, str | int | float | bool):
            self.plain[key] = value
        else:
            self.by_identity[id(key)] = value

    def get(self, key: Any, default: Any = None) -> Any:
        """Return the value under a key."""
        if isinstance(key, str | int | float | bool):
            return self.plain.get(key, default)
        return self.by_identity.get(id(key), default)

    @property
    def sequence(self) -> list[Any]:
        """The values under 1, 2, 3 and so on, as far as they go."""
        found: list[Any] = []
        while (len(found) + 1) in self.plain:
            found.append(self.plain[len(found) + 1])
        return found


@attrs.define(eq=False)
class TorchObject:
    """An object of a class: its fields by name."""

    type: str
    fields: Table = attrs.field(factory=Table, repr=False)

    @property
    def short(self) -> str:
        """The class without its package: SpatialConvolution."""
        return self.type.rpartition(".")[2]


@attrs.define(eq=False)
class Storage:
    """Numbers in a row: how many, of which type, and how those from a place to before another one are read."""

    count: int
    dtype: np.dtype[Any]
    read: Callable[[int, int], Array] = attrs.field(repr=False)


@attrs.define(eq=False)
class Tensor:
    """A view of a storage: sizes, strides and the offset of the first value, all counted in values."""

    shape: Shape
    strides: tuple[int, ...]
    offset: int
    storage: Storage | None = None

    @property
    def _last(self) -> int:
        """The place of its last value in the storage."""
        return self.offset + sum((n - 1) * s for n, s in zip(self.shape, self.strides, strict=True))

    def check(self) -> None:
        """Raise Fault where the view leads outside of its storage."""
        if 0 in self.shape or not self.shape:
            return
        last = self._last
        held = self.storage.count if self.storage is not None else 0
        if self.offset < 0 or any(s < 0 for s in self.strides) or last >= held:
            raise Fault(f"a tensor that reaches to value {last + 1:,} of a storage of {held:,}")
        # Strides of 0 repeat values; so the size of a tensor is not bounded by that of its storage.
        if math.prod(self.shape) > max(held, 1 << 20):
            raise Fault(f"a tensor of {math.prod(self.shape):,} values in a storage of {held:,}")

    def array(self) -> Array:
        """Return the values, read-only."""
        if self.storage is None or 0 in self.shape or not self.shape:
            return np.zeros(self.shape if self.shape else (0,), np.float32)
        values = self.storage.read(self.offset, self._last + 1)
        strides = tuple(s * values.itemsize for s in self.strides)
        return np.lib.stride_tricks.as_strided(values, self.shape, strides, writeable=False)
