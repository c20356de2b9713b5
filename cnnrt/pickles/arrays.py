"""An array of NumPy as a pickle describes it. Its type is one of a few of ours, its size is that of its bytes."""

from __future__ import annotations

import math
import re
from typing import Any

import attrs
import numpy as np

from cnnrt.layer import Array, Shape
from cnnrt.pickles.stand_ins import PickleFault

_MOST_DIMENSIONS = 32
_DTYPE = re.compile(r"[<>|=]?([biufO])([0-9]{1,2})|[<>|=]?(\?)")
_SIZES = {"b": (1,), "i": (1, 2, 4, 8), "u": (1, 2, 4, 8), "f": (2, 4, 8), "O": (4, 8)}


@attrs.define(eq=False)
class PickledType:
    """A dtype: `code` is NumPy's without byte order ("f4"), "O" for objects, "" for all that is no number."""

    code: str
    order: str = "<"

    def set_state(self, state: Any) -> None:
        """Take the byte order: (version, order, ...)."""
        if not isinstance(state, tuple) or len(state) < 2:
            raise PickleFault("a dtype with a state that is none")
        order = state[1].decode("latin-1") if isinstance(state[1], bytes) else state[1]
        if order not in ("<", ">", "|", "="):
            raise PickleFault("a dtype with an unknown order of bytes")
        self.order = ">" if order == ">" else "<"

    @property
    def dtype(self) -> np.dtype[Any]:
        """NumPy's dtype; numbers only."""
        return np.dtype(self.order + self.code)


def pickled_type(code: Any, *_: Any) -> PickledType:
    """Stand for `numpy.dtype(code, ...)`."""
    text = code.decode("latin-1") if isinstance(code, bytes) else code
    found = _DTYPE.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        return PickledType("")
    if found[3]:
        return PickledType("b1")
    kind, size = found[1], int(found[2])
    if size not in _SIZES[kind]:
        return PickledType("")
    return PickledType("O" if kind == "O" else f"{kind}{size}", ">" if text.startswith(">") else "<")


@attrs.define(eq=False)
class PickledArray:
    """An array: its shape, its type, and its bytes or, of objects, its items. Nothing is allocated before `array()`."""

    shape: Shape = ()
    type: PickledType = attrs.field(factory=lambda: PickledType(""))
    fortran: bool = False
    data: bytes | memoryview = b""
    items: list[Any] | None = None

    @property
    def is_numeric(self) -> bool:
        """Whether it holds numbers, so that `array()` works."""
        return self.items is None and self.type.code not in ("", "O")

    def set_state(self, state: Any) -> None:
        """Take (version,) shape, dtype, is_fortran, data, as ndarray.__setstate__ does; sizes are compared here."""
        if not isinstance(state, tuple) or len(state) not in (4, 5):
            raise PickleFault("an array with a state that is none")
        shape, kind, fortran, data = state[-4:]
        self._fill(shape, kind, bool(fortran), data)

    def _fill(self, shape: Any, kind: Any, fortran: bool, data: Any) -> None:
        if not isinstance(shape, tuple) or len(shape) > _MOST_DIMENSIONS:
            raise PickleFault("an array with a shape that is none")
        if any(type(n) is not int or not 0 <= n < 1 << 48 for n in shape):
            raise PickleFault("an array with a shape that is none")
        if not isinstance(kind, PickledType):
            raise PickleFault("an array with a type that is none")
        if isinstance(data, str):
            try:
                data = data.encode("latin-1")
            except UnicodeEncodeError:
                raise PickleFault("an array whose values are text") from None
        count = math.prod(shape)
        if isinstance(data, list):
            if kind.code != "O" or len(data) != count:
                raise PickleFault(f"an array of {count:,} values with a list of {len(data):,}")
            self.items = data
        elif not isinstance(data, bytes | memoryview):
            raise PickleFault("an array without values")
        elif kind.code not in ("", "O") and count * kind.dtype.itemsize != len(data):
            raise PickleFault(f"an array of {count:,} values of type {kind.code} in {len(data):,} bytes")
        self.shape, self.type, self.fortran = tuple(shape), kind, fortran
        if self.items is None:
            self.data = data

    def array(self) -> Array:
        """Return the values, read-only, in the file's type; PickleFault where they are no numbers."""
        if not self.is_numeric:
            raise PickleFault("an array that does not hold numbers")
        values = np.frombuffer(self.data, self.type.dtype)
        return values.reshape(self.shape, order="F" if self.fortran else "C")


def array_to_fill(*_: Any) -> PickledArray:
    """Stand for `numpy.core.multiarray._reconstruct(ndarray, (0,), "b")`: the values come with the state."""
    return PickledArray()


def array_from_buffer(data: Any, kind: Any, shape: Any, order: Any) -> PickledArray:
    """Stand for `numpy.core.numeric._frombuffer`, as protocol 5 writes contiguous arrays."""
    array = PickledArray()
    array._fill(shape, kind, order == "F", data)
    return array


def scalar(kind: Any, data: Any = b"") -> float | int | bool:
    """Stand for `numpy.core.multiarray.scalar`: one number."""
    array = PickledArray()
    array._fill((), kind, False, data)
    value = array.array().item()
    assert isinstance(value, float | int | bool)
    return value
