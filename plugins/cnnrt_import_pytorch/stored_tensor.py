"""A tensor as PyTorch stores it: a view of a storage by offset, sizes and strides, all of them claims of a file."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import attrs
import numpy as np

from cnnrt.layer import Array, Shape, shape_text
from cnnrt.loose_weights import LooseTensor
from cnnrt.pickles import PickleFault
from cnnrt_import_pytorch.value_types import ValueType

_MOST_DIMENSIONS = 32


@attrs.frozen(eq=False)
class Storage:
    """Values in a row: their type, their number as the file states it, and `read()`, which gives their bytes."""

    kind: ValueType
    count: int
    read: Callable[[], bytes] = attrs.field(repr=False)


@attrs.frozen(eq=False)
class StoredTensor:
    """A view of a storage that was checked to lie inside it, and to have no more values than it."""

    storage: Storage
    offset: int
    shape: Shape
    strides: tuple[int, ...]

    def array(self) -> Array:
        """Return the values, float32 and contiguous."""
        kind = self.storage.kind
        values = np.frombuffer(self.storage.read(), kind.stored, self.storage.count)
        strides = tuple(kind.nbytes * stride for stride in self.strides)
        view = np.lib.stride_tricks.as_strided(values[self.offset :], self.shape, strides, writeable=False)
        return kind.decoded(np.ascontiguousarray(view)).reshape(self.shape)

    def named(self, name: str) -> LooseTensor:
        """Return it under a name, as a topology takes it."""
        return LooseTensor(name, self.shape, self.array)


def checked_tensor(storage: Any, offset: Any, shape: Any, strides: Any) -> StoredTensor:
    """Return the view of a storage that a file describes; PickleFault where it cannot be one."""
    if not isinstance(storage, Storage):
        raise PickleFault("a tensor without a storage")
    if not _are_counts(shape) or not _are_counts(strides) or not _are_counts((offset,)):
        raise PickleFault("a tensor whose sizes, strides or offset are no numbers")
    if len(shape) != len(strides) or len(shape) > _MOST_DIMENSIONS:
        raise PickleFault(f"a tensor of {len(shape)} sizes and {len(strides)} strides")
    tensor = StoredTensor(storage, offset, tuple(shape), tuple(strides))
    last = offset + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
    if 0 in shape:
        last = offset - 1
    if last >= storage.count or offset > storage.count or math.prod(shape) > storage.count:
        raise PickleFault(f"a tensor of {shape_text(tensor.shape)} that is larger than its {storage.count:,} values")
    return tensor


def _are_counts(numbers: Any) -> bool:
    return isinstance(numbers, tuple | list) and all(
        isinstance(n, int) and not isinstance(n, bool) and 0 <= n < 2**48 for n in numbers
    )
