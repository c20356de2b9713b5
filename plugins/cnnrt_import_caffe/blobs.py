"""One blob of Caffe's: its shape, and where in the file its values lie.

Format: BlobProto. `shape` or, before 2015, the four numbers num, channels, height, width; the values in `data`
(float) or `double_data`, packed into one run or, as protobuf also allows, each with a tag of its own.
"""

from __future__ import annotations

import math
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from cnnrt.mapped_file import let_go
from cnnrt.protobuf_wire import (
    BYTES,
    FIXED32,
    FIXED64,
    VARINT,
    Allowance,
    MalformedMessage,
    WireField,
    fields,
    read_varint,
)

_LEGACY_DIMENSIONS = (1, 2, 3, 4)
_DATA, _SHAPE, _DOUBLE_DATA = 5, 7, 8
_MOST_DIMENSIONS = 32
_MOST_RUNS = 1000
_BLOCK = 1 << 22


@attrs.frozen(eq=False)
class Run:
    """Some values in a row: `count` numbers of dtype `dtype` from `start`, one every `step` bytes."""

    start: int
    count: int
    dtype: str
    step: int


@attrs.frozen(eq=False)
class Blob:
    """A blob in a file: nothing of it is in memory until `array()` is called.

    `shape` is as stored (four numbers in files before 2015) and agrees with the number of values.
    """

    shape: tuple[int, ...]
    runs: tuple[Run, ...]
    file: memoryview = attrs.field(repr=False)

    @property
    def count(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    def array(self) -> NDArray[np.float32]:
        """Return the values, float32 in `shape`, read from the file now; the array belongs to the caller."""
        values = np.empty(self.count, np.float32)
        filled = 0
        for run in self.runs:
            for first in range(0, run.count, _BLOCK):
                start, count = run.start + first * run.step, min(_BLOCK, run.count - first)
                raw = np.ndarray((count,), run.dtype, self.file, start, (run.step,))
                with np.errstate(over="ignore", invalid="ignore"):  # a double beyond float32 is infinite in Caffe too
                    values[filled : filled + count] = raw
                filled += count
                let_go(self.file, start, start + count * run.step)
        return values.reshape(self.shape)


def read_blob(file: memoryview, start: int, end: int, allowance: Allowance | None = None) -> Blob:
    """Return the BlobProto in `file[start:end]`, of shape (0,) where it holds no values that are read here.

    `allowance`: of fields, for the whole file; None: nothing else is read of it.

    Raises MalformedMessage where shape and values disagree.
    """
    allowance = allowance or Allowance()
    legacy: dict[int, int] = {}
    shape: list[int] = []
    runs: dict[int, list[Run]] = {_DATA: [], _DOUBLE_DATA: []}
    skip_to = start
    while skip_to < end:
        # Values that carry a tag each are taken as one run; the walk then goes on behind it.
        for field in fields(file, skip_to, end, allowance):
            skip_to = field.end
            if field.number in _LEGACY_DIMENSIONS and field.wire_type == VARINT:
                legacy[field.number] = _signed(field.value)
            elif field.number == _SHAPE and field.wire_type == BYTES:
                shape += _dimensions(file, field, allowance)
            elif field.number in runs:
                run = _run(file, field, end)
                runs[field.number].append(run)
                if len(runs[field.number]) > _MOST_RUNS:
                    raise MalformedMessage(field.tag_start, f"a blob in more than {_MOST_RUNS:,} pieces")
                if run.step > np.dtype(run.dtype).itemsize:
                    skip_to = field.tag_start + run.count * run.step
                    break
    stored = tuple(legacy.get(n, 0) for n in _LEGACY_DIMENSIONS) if legacy else tuple(shape)
    chosen = runs[_DOUBLE_DATA] or runs[_DATA]
    count = sum(run.count for run in chosen)
    if not stored and not count:
        return Blob((0,), (), file)
    if any(n < 0 for n in stored) or math.prod(stored) != count:
        wanted = "×".join(map(str, stored)) or "one value"
        raise MalformedMessage(start, f"a blob of shape {wanted} with {count:,} values")
    return Blob(stored, tuple(chosen), file)


def _run(file: memoryview, field: WireField, end: int) -> Run:
    dtype, tagged = ("<f4", FIXED32) if field.number == _DATA else ("<f8", FIXED64)
    size = np.dtype(dtype).itemsize
    if field.wire_type == BYTES:
        length = field.end - field.start
        if length % size:
            raise MalformedMessage(field.tag_start, f"{length:,} bytes of values of {size} bytes each")
        return Run(field.start, length // size, dtype, size)
    if field.wire_type == tagged and field.start == field.tag_start + 1:
        return Run(field.start, _tagged_values(file, field.tag_start, end, size + 1), dtype, size + 1)
    raise MalformedMessage(field.tag_start, f"wire type {field.wire_type} for the values of a blob")


def _tagged_values(file: memoryview, start: int, end: int, step: int) -> int:
    """Return how many values follow from `start`, each behind the same tag byte, looking at blocks of them."""
    tag, found, block = file[start], 0, 1 << 16
    available = (end - start) // step
    while found < available:
        tags = np.ndarray((min(block, available - found),), np.uint8, file, start + found * step, (step,))
        others = np.flatnonzero(tags != tag)
        if others.size:
            return found + int(others[0])
        found += tags.size
    return found


def _dimensions(file: memoryview, field: WireField, allowance: Allowance) -> list[int]:
    """Return the dimensions of a BlobShape, packed or not."""
    dims: list[int] = []
    for part in fields(file, field.start, field.end, allowance):
        if part.number != 1:
            continue
        if part.wire_type == VARINT:
            dims.append(_signed(part.value))
        at = part.start
        while part.wire_type == BYTES and at < part.end and len(dims) <= _MOST_DIMENSIONS:
            value, at = read_varint(file, at, part.end)
            dims.append(_signed(value))
        if len(dims) > _MOST_DIMENSIONS:
            raise MalformedMessage(field.tag_start, f"a blob of more than {_MOST_DIMENSIONS} dimensions")
    return dims


def _signed(value: int) -> int:
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value


def mean_image(blob: Blob) -> NDArray[Any] | None:
    """Return a blob of shape (1, C, H, W) or (C, H, W) as an image (C, H, W), float32; None for other shapes."""
    shape = blob.shape[1:] if len(blob.shape) == 4 and blob.shape[0] == 1 else blob.shape
    if len(shape) != 3 or blob.count == 0:
        return None
    return blob.array().reshape(shape)
