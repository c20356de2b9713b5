"""What is handed to `compute`: checked for name, shape and dtype before anything runs."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np

from cnnrt.errors import InputError
from cnnrt.graph import GraphInput, nearest
from cnnrt.layer import Array, Shape, shape_text


@attrs.frozen
class Batch:
    """Checked arrays by input name, each with a batch dimension; `single`: the caller handed in one item."""

    arrays: Mapping[str, Array]
    single: bool

    @property
    def shapes(self) -> dict[str, Shape]:
        """Shapes by input name, with the batch dimension."""
        return {name: array.shape for name, array in self.arrays.items()}


def check_inputs(expected: Sequence[GraphInput], images: Any) -> Batch:
    """Return `images` (an array, or a dict of arrays by input name) as a batch.

    Each array is float32 (`FiniteInputs` looks at the values); it has the dimensions of one item, (C, H, W) where the
    NetFile states no shape, or one more in front. The number of channels must be the one stated; rows and columns may
    differ, as far as the layers can take them. Raises InputError that says what was expected and what came.
    """
    if isinstance(images, Mapping):
        given = dict(images)
    elif len(expected) == 1:
        given = {expected[0].name: images}
    else:
        raise InputError(f"the network has {len(expected)} inputs: hand in a dict with {_names(expected)}")
    for name in given:
        if name not in {i.name for i in expected}:
            raise InputError(f"the network has no input {name!r}; {nearest(str(name), [i.name for i in expected])}")
    arrays, singles = {}, set()
    for graph_input in expected:
        if graph_input.name not in given:
            raise InputError(f"input {graph_input.name!r} is missing; the network needs {_names(expected)}")
        array, single = _check_array(graph_input, given[graph_input.name])
        arrays[graph_input.name] = array
        singles.add(single)
    if len(singles) > 1:
        raise InputError("some inputs are single items and some are batches: hand in batches for all")
    free = {i.name: len(arrays[i.name]) for i in expected if i.batch is None}
    if len(set(free.values())) > 1:
        sizes = ", ".join(f"{name} {count}" for name, count in free.items())
        raise InputError(f"all inputs must hold the same number of items, got {sizes}")
    return Batch(arrays, singles == {True})


def check_shapes(expected: Sequence[GraphInput], shapes: Any) -> dict[str, Shape]:
    """Return full input shapes by name, from a dict, from one shape for an only input, or (None) from the NetFile.

    What the NetFile states is taken with a batch of 1, or the only one that the network takes. Raises InputError where
    a shape is missing or odd.
    """
    if shapes is None:
        unknown = [i for i in expected if i.shape is None]
        if unknown:
            raise InputError(
                f"the NetFile does not state the shape of {_names(unknown)}: say which, for example "
                "net.prepare((1, 3, 227, 227)), or --input 1,3,227,227 on the command line"
            )
        return {i.name: (i.batch or 1, *(i.shape or ())) for i in expected}
    if isinstance(shapes, Mapping):
        given = dict(shapes)
    elif len(expected) == 1:
        given = {expected[0].name: shapes}
    else:
        raise InputError(f"the network has {len(expected)} inputs: hand in a dict of shapes with {_names(expected)}")
    result = {}
    for graph_input in expected:
        if graph_input.name not in given:
            raise InputError(f"the shape of input {graph_input.name!r} is missing; needed: {_names(expected)}")
        result[graph_input.name] = _check_shape(graph_input, given[graph_input.name])
    extra = [name for name in given if name not in result]
    if extra:
        raise InputError(f"the network has no input {extra[0]!r}; {nearest(str(extra[0]), list(result))}")
    return result


def _check_array(graph_input: GraphInput, array: Any) -> tuple[Array, bool]:
    name = graph_input.name
    if not isinstance(array, np.ndarray):
        raise InputError(f"input {name!r}: expected a NumPy array of float32, got {type(array).__name__}")
    if type(array) is not np.ndarray and hasattr(array, "mask"):
        raise InputError(f"input {name!r}: a masked array; say what stands in the gaps: images.filled(0)")
    if array.dtype != np.float32:
        raise InputError(
            f"input {name!r}: expected float32, got {array.dtype}; convert it with images.astype(np.float32), after "
            "the scaling that the network was trained with"
        )
    item_rank = len(graph_input.shape) if graph_input.shape is not None else 3
    flat = graph_input.shape is None and array.ndim == 2  # a batch of feature vectors
    if array.ndim not in (item_rank, item_rank + 1) and not flat:
        raise InputError(f"input {name!r}: expected {_wanted(graph_input)}, got {shape_text(array.shape)}")
    single = array.ndim == item_rank and not flat
    batch = array[np.newaxis] if single else array
    _check_shape(graph_input, batch.shape)
    try:
        batch = np.ascontiguousarray(batch)
    except MemoryError:
        raise InputError(
            f"input {name!r}: {shape_text(batch.shape)} does not lie in memory in order, and there is none for a copy "
            f"of {4 * batch.size:,} bytes; hand in a smaller batch"
        ) from None
    return batch, single


def _check_shape(graph_input: GraphInput, shape: Any) -> Shape:
    try:
        result = tuple(operator.index(n) for n in shape)
    except TypeError:
        raise InputError(f"input {graph_input.name!r}: expected a shape, got {shape!r}") from None
    stated = graph_input.shape
    if any(n < 0 for n in result) or not result:
        raise InputError(f"input {graph_input.name!r}: {shape!r} is no shape")
    if 0 in result[1:]:
        raise InputError(f"input {graph_input.name!r}: {shape_text(result)} holds no values")
    if stated is not None and (len(result) != len(stated) + 1 or result[1] != stated[0]):
        raise InputError(f"input {graph_input.name!r}: expected {_wanted(graph_input)}, got {shape_text(result)}")
    if graph_input.batch not in (None, result[0]):
        raise InputError(
            f"input {graph_input.name!r}: expected a batch of {graph_input.batch}, the only one that this network "
            f"takes, got {shape_text(result)}"
        )
    return result


def _wanted(graph_input: GraphInput) -> str:
    if graph_input.shape is None:
        return "(N, C, H, W) or (C, H, W)"
    item = shape_text(graph_input.shape)
    batch = "N" if graph_input.batch is None else graph_input.batch
    return f"{item} or a batch {'×'.join(map(str, (batch, *graph_input.shape)))}"


def _names(inputs: Sequence[GraphInput]) -> str:
    return ", ".join(repr(i.name) for i in inputs)
