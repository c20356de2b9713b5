"""A constant of a graph: its shape, where its values lie, and how they become an array.

Format: TensorProto of TensorFlow. Values are in `tensor_content`, little-endian, or in a list for their type, whose
last value is repeated where there are fewer than the shape says. Nothing is allocated before the shape was checked
against the bytes that are there.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from cnnrt.channels_last.constants import Constant
from cnnrt.mapped_file import read_mapped
from cnnrt.protobuf_wire import BYTES, FIXED32, FIXED64, VARINT, MalformedMessage, WireField
from cnnrt_import_tensorflow.messages import Source, read_shape, varints

_MOST_REPEATED = 1 << 22
_MOST_TEXTS = 1 << 14


@attrs.frozen
class Kind:
    """A data type: its name, NumPy's code for stored values, the number of the field that lists values."""

    name: str
    stored: str
    field: int


# DataType of types.proto. Halves are listed as the integers of their bits.
KINDS = {
    1: Kind("float", "<f4", 5),
    2: Kind("float", "<f8", 6),
    3: Kind("integer", "<i4", 7),
    4: Kind("integer", "|u1", 7),
    5: Kind("integer", "<i2", 7),
    6: Kind("integer", "|i1", 7),
    9: Kind("integer", "<i8", 10),
    10: Kind("boolean", "|b1", 11),
    14: Kind("bfloat16", "<u2", 13),
    17: Kind("integer", "<u2", 7),
    19: Kind("half", "<f2", 13),
    22: Kind("integer", "<u4", 16),
    23: Kind("integer", "<u8", 17),
}
STRING = 7
_CONTENT, _TEXT = 4, 8


def read_tensor(source: Source, field: WireField, name: str) -> Constant:
    """Return the TensorProto in a field as a constant; raises MalformedMessage."""
    dtype, content = 1, None
    shape: tuple[int, ...] = ()
    listed: list[WireField] = []
    for part in source.fields(field.start, field.end):
        if part.number == 1 and part.wire_type == VARINT:
            dtype = part.value
        elif part.number == 2 and part.wire_type == BYTES:
            found = read_shape(source, part)
            if found is None or None in found:
                raise MalformedMessage(part.tag_start, "a constant whose shape is open")
            shape = tuple(n for n in found if n is not None)
        elif part.number == _CONTENT and part.wire_type == BYTES:
            content = part
        elif part.number > _CONTENT:
            listed.append(part)
    count = math.prod(shape)
    if dtype == STRING:
        return _texts(source, [p for p in listed if p.number == _TEXT], shape, name)
    kind = KINDS.get(dtype)
    if kind is None:
        raise MalformedMessage(field.tag_start, f"values of data type {dtype}")
    if content is not None and content.end > content.start:
        if (content.end - content.start) != count * np.dtype(kind.stored).itemsize:
            raise MalformedMessage(content.tag_start, f"{content.end - content.start:,} bytes for {count:,} values")
        return stored_constant(source.data, content.start, shape, kind, name)
    values = _listed(source, [p for p in listed if p.number == kind.field], kind)
    if count > max(_MOST_REPEATED, len(values)) or len(values) > count:
        raise MalformedMessage(field.tag_start, f"{len(values):,} values for {count:,}")
    return Constant(name, shape, _plain(kind), _repeated(values, count))


def stored_constant(data: memoryview, start: int, shape: tuple[int, ...], kind: Kind, name: str) -> Constant:
    """Return as many values as the shape holds, which lie at `start`, as a constant; they must be there."""
    count = math.prod(shape)

    def read() -> NDArray[Any]:
        values = read_mapped(data, kind.stored, count, start)
        return _widened(values, kind)

    return Constant(name, shape, _plain(kind), read)


def _widened(values: NDArray[Any], kind: Kind) -> NDArray[Any]:
    """Return halves as float32; bfloat16 is stored as the upper half of one."""
    if kind.name == "bfloat16":
        return (values.astype(np.uint32) << 16).view(np.float32)
    return values.astype(np.float32) if kind.name == "half" else values


def _plain(kind: Kind) -> str:
    return "float" if kind.name in ("half", "bfloat16") else kind.name


def _listed(source: Source, parts: list[WireField], kind: Kind) -> NDArray[Any]:
    stored = np.dtype(kind.stored)
    fixed = {5: FIXED32, 6: FIXED64}.get(kind.field)
    pieces: list[NDArray[Any]] = []
    for part in parts:
        if fixed is not None:
            size = part.end - part.start
            if part.wire_type not in (BYTES, fixed) or size % stored.itemsize:
                raise MalformedMessage(part.tag_start, "values of the wrong size")
            pieces.append(np.frombuffer(source.data, stored, size // stored.itemsize, part.start))
        else:
            bits = np.array(varints(source, part), np.int64)
            pieces.append(bits.astype(np.uint16).view(stored) if kind.field == 13 else bits.astype(stored))
    values = np.concatenate(pieces) if pieces else np.zeros(0, stored)
    return _widened(values, kind)


def _repeated(values: NDArray[Any], count: int) -> Callable[[], NDArray[Any]]:
    if len(values) == count:
        return lambda: values
    last = values[-1:] if len(values) else np.zeros(1, values.dtype)
    return lambda: np.concatenate([values, np.broadcast_to(last, count - len(values))])


def _texts(source: Source, parts: list[WireField], shape: tuple[int, ...], name: str) -> Constant:
    if math.prod(shape) != len(parts) or len(parts) > _MOST_TEXTS:
        return Constant(name, shape, "text", lambda: np.zeros(0, object))
    texts = [source.text(part) for part in parts]
    return Constant(name, shape, "text", lambda: np.array(texts, object))
