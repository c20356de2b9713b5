"""A constant of a model: its shape, where its values lie, and how they become an array.

Format: TensorProto of ONNX. The values are in `raw_data` (little-endian), in a typed field, or in a file beside the
model (`external_data`: location, offset, length). Nothing is allocated before the stated shape was checked against
the bytes that are there.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import attrs
import numpy as np
from numpy.typing import NDArray

from cnnrt.errors import ParameterFileError
from cnnrt_import_onnx.model_text import text_of
from netfile_spec.parameters.inside_root import resolve_inside
from netfile_spec.problems import quoted

Sizes = tuple[int | None, ...]
"""A shape as far as it is known; None stands for a size that is not."""

MOST_DIMENSIONS = 32
_EXTERNAL = 1


@attrs.frozen
class _Kind:
    """A data type: its name, the bytes of one value, and the field that holds typed values."""

    name: str
    stored: str
    field: str


# TensorProto.DataType of onnx.proto. Halves are stored as their bits.
_KINDS = {
    1: _Kind("FLOAT", "<f4", "float_data"),
    2: _Kind("UINT8", "|u1", "int32_data"),
    3: _Kind("INT8", "|i1", "int32_data"),
    4: _Kind("UINT16", "<u2", "int32_data"),
    5: _Kind("INT16", "<i2", "int32_data"),
    6: _Kind("INT32", "<i4", "int32_data"),
    7: _Kind("INT64", "<i8", "int64_data"),
    9: _Kind("BOOL", "|u1", "int32_data"),
    10: _Kind("FLOAT16", "<u2", "int32_data"),
    11: _Kind("DOUBLE", "<f8", "double_data"),
    12: _Kind("UINT32", "<u4", "uint64_data"),
    13: _Kind("UINT64", "<u8", "uint64_data"),
    16: _Kind("BFLOAT16", "<u2", "int32_data"),
}
FLOATS = frozenset({"FLOAT", "FLOAT16", "DOUBLE", "BFLOAT16"})
INTEGERS = frozenset({"INT32", "INT64"})
NUMBERS = {number: kind.name for number, kind in _KINDS.items()}
"""Names of the data types that are read, by TensorProto's number."""

_NAMES = {
    np.dtype(kind.stored): kind.name for kind in _KINDS.values() if kind.name not in ("FLOAT16", "BFLOAT16", "BOOL")
}
_NAMES |= {np.dtype(bool): "BOOL", np.dtype(np.float16): "FLOAT16"}


class MalformedTensor(Exception):
    """A tensor that cannot be read; the text says why."""


@attrs.frozen(eq=False)
class Tensor:
    """A constant: nothing of it is an array until one is asked for. `kind` is the name of ONNX's data type.

    `origin` tells constants apart: those of one origin hold the same values. `batch`, of the same shape, says which of
    its values are not what they are but the number of images, whatever it is; None: none of them. `stored`: the bytes
    that the model has of it, 0 for what was made up.
    """

    name: str
    shape: tuple[int, ...]
    kind: str
    read: Callable[[], NDArray[Any]] = attrs.field(repr=False)
    origin: object = attrs.field(factory=object, repr=False)
    batch: NDArray[Any] | None = attrs.field(default=None, repr=False)
    stored: int = 0
    free: ClassVar[bool] = False
    failed: ClassVar[bool] = False

    @property
    def count(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    @property
    def rank(self) -> int:
        """The number of dimensions."""
        return len(self.shape)

    def array(self) -> NDArray[Any]:
        """Return the values in `shape`: float32 or float64, integers, or bool. May be read-only."""
        values = self.read()
        if self.kind == "BFLOAT16":
            values = (values.astype(np.uint32) << 16).view(np.float32)
        elif self.kind == "FLOAT16" and values.dtype == np.uint16:
            values = values.view("<f2").astype(np.float32)
        elif self.kind == "BOOL":
            values = values.astype(bool)
        return values.reshape(self.shape)

    def reshaped(self, shape: tuple[int, ...]) -> Tensor:
        """Return the same values in another shape of as many."""
        return attrs.evolve(self, shape=shape, batch=None if self.batch is None else self.batch.reshape(shape))


def tensor_of(values: NDArray[Any], name: str = "", batch: NDArray[Any] | None = None) -> Tensor:
    """Return an array as a constant."""
    kind = _NAMES[values.dtype.newbyteorder("=")]
    return Tensor(name, values.shape, kind, lambda: values, batch=batch if batch is not None and batch.any() else None)


def read_tensor(proto: Any, folder: Path, name: str = "") -> Tensor:
    """Return a TensorProto as a constant; external values lie inside `folder`. Raises MalformedTensor."""
    kind = _KINDS.get(proto.data_type)
    if kind is None:
        raise MalformedTensor(f"values of type {_type_name(proto.data_type)}")
    shape = tuple(proto.dims)
    if len(shape) > MOST_DIMENSIONS or any(n < 0 for n in shape):
        raise MalformedTensor(f"a shape of {shape_words(shape[:MOST_DIMENSIONS])}")
    if proto.HasField("segment"):
        raise MalformedTensor("values in segments")
    count = math.prod(shape)
    if proto.data_location == _EXTERNAL:
        read = _external(proto, kind, count, folder)
    elif proto.raw_data:
        stored = len(proto.raw_data)
        _check_size(kind, count, stored, f"{stored:,} bytes")
        read = _raw(proto, kind)
    else:
        typed = getattr(proto, kind.field)
        if len(typed) != count:
            raise MalformedTensor(f"a shape of {shape_words(shape)} with {len(typed):,} values")
        read = _typed(proto, kind)
    nbytes = count * np.dtype(kind.stored).itemsize
    return Tensor(name or text_of(proto.name), shape, kind.name, read, stored=nbytes)


def read_scalar(proto: Any) -> NDArray[Any]:
    """Return the only value of a TensorProto that lies in the file itself. Raises MalformedTensor."""
    if proto.data_location == _EXTERNAL:
        raise MalformedTensor("a value in another file")
    tensor = read_tensor(proto, Path())
    if tensor.count != 1:
        raise MalformedTensor(f"{tensor.count:,} values; expected one")
    return tensor.array().reshape(())


def _raw(proto: Any, kind: _Kind) -> Callable[[], NDArray[Any]]:
    return lambda: np.frombuffer(proto.raw_data, kind.stored)


def _typed(proto: Any, kind: _Kind) -> Callable[[], NDArray[Any]]:
    # Bits of halves come as 32-bit integers: what does not fit 16 of them is cut off, as ONNX does.
    wide = np.int64 if kind.field == "int32_data" else np.dtype(kind.stored)
    return lambda: np.array(getattr(proto, kind.field), wide).astype(kind.stored, copy=False)


def _external(proto: Any, kind: _Kind, count: int, folder: Path) -> Callable[[], NDArray[Any]]:
    entries = {text_of(entry.key): text_of(entry.value) for entry in proto.external_data}
    location = entries.get("location", "")
    nbytes = count * np.dtype(kind.stored).itemsize
    try:
        path = resolve_inside(folder, location)
        size = path.stat().st_size
    except (ParameterFileError, OSError) as error:
        raise MalformedTensor(f"values in another file, which cannot be used: {error}") from None
    offset, length = (_number(entries, key) for key in ("offset", "length"))
    offset = offset or 0
    if length is not None:
        _check_size(kind, count, length, f"a length of {length:,} bytes")
    if offset + nbytes > size:
        raise MalformedTensor(
            f"{nbytes:,} bytes of values from byte {offset:,} of {quoted(location)}, which has {size:,} bytes"
        )
    return lambda: np.fromfile(path, kind.stored, count, offset=offset)


def _number(entries: dict[str, str], key: str) -> int | None:
    text = entries.get(key)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise MalformedTensor(f"external values with {key} {quoted(text)}")
    return int(text)


def _check_size(kind: _Kind, count: int, stored: int, what: str) -> None:
    if count * np.dtype(kind.stored).itemsize != stored:
        raise MalformedTensor(f"{what} for {count:,} values of type {kind.name}")


def _type_name(number: int) -> str:
    import onnx

    names = {value: name for name, value in onnx.TensorProto.DataType.items()}
    return names.get(number, f"number {number}")


def shape_words(shape: tuple[int | None, ...]) -> str:
    """Return a shape as messages show it: 1×3×?×?, or "one value"."""
    return "×".join("?" if n is None else str(n) for n in shape) or "one value"
