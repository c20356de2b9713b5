"""What a pickle of Theano or Lasagne may name. None of it is imported: objects become records of what the file says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cnnrt.pickles import NUMPY_GLOBALS, PickledArray, PickleFault, Record, opaque

# Theano, and what it was called later.
_PACKAGES = ("theano", "lasagne", "aesara", "pytensor", "nolearn")
# Arrays of graphics cards are written as arrays of NumPy that are handed to one of these.
_UNPICKLERS = ("CudaNdarray_unpickler", "GpuArray_unpickler", "gpuarray_unpickler")


def theano_globals(module: str, name: str) -> Callable[..., Any] | None:
    """Answer for a global of NumPy, Theano or Lasagne; None for all others."""
    if module.partition(".")[0] not in _PACKAGES:
        return NUMPY_GLOBALS(module, name)
    if name in _UNPICKLERS:
        return _array_of_card
    return opaque(module, name)


def _array_of_card(array: Any, *_: Any) -> PickledArray:
    if not isinstance(array, PickledArray):
        raise PickleFault("an array of a graphics card without values")
    return array


def shared_value(value: Any) -> Any:
    """Return what a shared variable holds, None for all other values.

    A shared variable keeps its value in the only place of the list `storage` of its `container`.
    """
    if not isinstance(value, Record):
        return None
    container = value.attributes.get("container")
    if not isinstance(container, Record):
        return None
    storage = container.attributes.get("storage")
    return storage[0] if isinstance(storage, list) and len(storage) == 1 else None
