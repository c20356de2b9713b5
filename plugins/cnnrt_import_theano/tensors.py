"""All arrays in a value, in order, each with a name that says where it lies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from cnnrt.errors import ImportFailure, Problem
from cnnrt.layer import Array
from cnnrt.loose_weights import LooseTensor
from cnnrt.pickles import PickledArray
from cnnrt_import_theano.stored_arrays import StoredArray
from cnnrt_import_theano.theano_globals import shared_value

MOST_VALUES = 200_000
_DEEPEST = 32


def tensors_of(value: Any, file: str) -> tuple[list[LooseTensor], tuple[str, ...]]:
    """Return the arrays of a value, and a note where something else lies among them.

    Lists and tuples are walked in order, dictionaries in theirs; names are "[3]", "params[3]", "conv1.W". Shared
    variables of Theano count as what they hold, arrays of objects as lists. Raises ImportFailure where there is no
    array, or where the value is larger or deeper than any list of weights.
    """
    found: list[LooseTensor] = []
    others: list[str] = []
    for name, item in _leaves(value, file):
        tensor = as_tensor(name, item)
        if tensor is not None:
            found.append(tensor)
        else:
            others.append(name or "the value")
    if not found:
        raise ImportFailure([Problem("holds no array of numbers", expected="a list of weights")], file=file)
    shown = ", ".join(others[:10]) + (", ..." if len(others) > 10 else "")
    return found, (f"left out, since it is no array: {shown}",) if others else ()


def as_tensor(name: str, value: Any) -> LooseTensor | None:
    """Return an array of numbers as a tensor of this name, None for anything else."""
    shared = shared_value(value)
    value = value if shared is None else shared
    if isinstance(value, PickledArray) and value.is_numeric:
        return LooseTensor(name, value.shape, value.array)
    if isinstance(value, StoredArray) and value.dtype.kind in "biuf":
        return LooseTensor(name, value.shape, value.read)
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return LooseTensor(name, value.shape, _giver(value))
    return None


def _giver(values: Array) -> Callable[[], Array]:
    return lambda: values


def _leaves(value: Any, file: str) -> Iterator[tuple[str, Any]]:
    """Yield what is no container, with its name, in order.

    Containers may hold themselves, or the same one many times, and then be empty: every visit counts.
    """
    waiting: list[tuple[str, Any, int]] = [("", value, 0)]
    visits = 0
    while waiting:
        name, item, depth = waiting.pop()
        visits += 1
        if visits + len(waiting) > MOST_VALUES:
            raise ImportFailure([Problem(f"holds more than {MOST_VALUES:,} values")], file=file)
        if depth > _DEEPEST:
            raise ImportFailure([Problem(f"lists in lists, more than {_DEEPEST} deep")], file=file)
        inner = _inner(name, item)
        if inner is None:
            yield name, item
        else:
            waiting += [(name, item, depth + 1) for name, item in reversed(inner)]


def _inner(name: str, value: Any) -> list[tuple[str, Any]] | None:
    """Return what a container holds, each with its name; None for all that is no container."""
    if isinstance(value, PickledArray) and value.items is not None:
        value = value.items
    if isinstance(value, list | tuple):
        return [(f"{name}[{number}]", item) for number, item in enumerate(value)]
    if isinstance(value, dict):
        # Names of any length are shortened where they are shown.
        return [(f"{name}.{key}" if name else str(key), item) for key, item in value.items()]
    return None
