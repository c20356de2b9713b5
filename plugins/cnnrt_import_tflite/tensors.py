"""A constant of a model: where its values lie, and how they become numbers.

Integers with a scale stand for real numbers: they are dequantised when they are asked for, (stored - zero) * scale
(tensorflow.org/lite/performance/quantization_spec).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnrt.channels_last.constants import Constant
from cnnrt.mapped_file import read_mapped
from cnnrt_import_tflite.schema import (
    BOOL,
    FLOAT16,
    FLOAT32,
    FLOAT64,
    INT8,
    INT16,
    INT32,
    INT64,
    UINT8,
    Quantisation,
    TensorInfo,
)

_STORED = {
    FLOAT32: "<f4",
    FLOAT16: "<f2",
    INT32: "<i4",
    UINT8: "|u1",
    INT64: "<i8",
    BOOL: "|b1",
    INT16: "<i2",
    INT8: "|i1",
    FLOAT64: "<f8",
}
QUANTISED = frozenset({UINT8, INT8, INT16})
"""Data types whose values stand for real numbers where a scale is stated; biases are INT32 with one."""


class MalformedTensor(Exception):
    """A tensor that cannot be read; the text says why."""


def constant_tensor(data: memoryview, tensor: TensorInfo) -> Constant:
    """Return a tensor that has values as a constant; raises MalformedTensor."""
    stored = _STORED.get(tensor.kind)
    assert tensor.values is not None
    if stored is None:
        raise MalformedTensor(f"values of data type {tensor.kind}")
    count, start = math.prod(tensor.shape), tensor.values.start
    if count * np.dtype(stored).itemsize != tensor.values.count:
        raise MalformedTensor(
            f"{tensor.values.count:,} bytes for {count:,} values of {np.dtype(stored).itemsize} bytes"
        )
    scaled = tensor.quantisation if tensor.kind in QUANTISED | {INT32} else None
    if scaled is not None:
        _check_scale(tensor.shape, scaled)

    def read() -> NDArray[Any]:
        values = read_mapped(data, stored, count, start)
        if scaled is not None:
            return _dequantised(values.reshape(tensor.shape), scaled)
        return values.astype(np.float32) if tensor.kind == FLOAT16 else values

    kind = {"f": "float", "b": "boolean"}.get(np.dtype(stored).kind, "integer")
    return Constant(tensor.name, tensor.shape, "float" if scaled is not None else kind, read)


def _check_scale(shape: tuple[int, ...], scaled: Quantisation) -> None:
    count = len(scaled.scale)
    along = shape[scaled.axis] if 0 <= scaled.axis < len(shape) else 1
    if count not in (1, along) or len(scaled.zero) not in (1, count):
        raise MalformedTensor(f"{count:,} scales and {len(scaled.zero):,} zero points for {along:,} places")


def _dequantised(values: NDArray[Any], scaled: Quantisation) -> NDArray[Any]:
    scale, zero = np.array(scaled.scale, np.float64), np.array(scaled.zero, np.float64)
    if len(scale) > 1:
        along = [-1 if i == scaled.axis else 1 for i in range(values.ndim)]
        scale, zero = scale.reshape(along), zero.reshape(along) if len(zero) > 1 else zero
    with np.errstate(all="ignore"):
        return np.asarray((values - zero) * scale)
