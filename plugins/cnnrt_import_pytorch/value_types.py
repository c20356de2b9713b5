"""Types of stored values, and how they become float32."""

from __future__ import annotations

import attrs
import numpy as np

from cnnrt.layer import Array


@attrs.frozen
class ValueType:
    """A type: its name in messages, and the NumPy type of what is stored. bfloat16 is stored as its bits."""

    name: str
    stored: str
    bfloat: bool = False

    @property
    def nbytes(self) -> int:
        """Bytes of one value."""
        return np.dtype(self.stored).itemsize

    def decoded(self, values: Array) -> Array:
        """Return stored values as float32; what is beyond its range becomes infinite."""
        if self.bfloat:
            bits: Array = (values.astype(np.uint32) << 16).view(np.float32)
            return bits
        with np.errstate(over="ignore"):
            return values.astype(np.float32)


DOUBLE = ValueType("float64", "<f8")
FLOAT = ValueType("float32", "<f4")
HALF = ValueType("float16", "<f2")
BFLOAT = ValueType("bfloat16", "<u2", bfloat=True)
LONG = ValueType("int64", "<i8")
INT = ValueType("int32", "<i4")
SHORT = ValueType("int16", "<i2")
CHAR = ValueType("int8", "|i1")
BYTE = ValueType("uint8", "|u1")
BOOL = ValueType("bool", "|u1")
