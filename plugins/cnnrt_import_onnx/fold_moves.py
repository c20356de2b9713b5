"""Operators that only move values or make them up, on constants: shapes, slices, joins."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import attrs
import numpy as np
from numpy.typing import NDArray

from cnnrt.findings import Findings
from cnnrt_import_onnx.nodes import OnnxNode
from cnnrt_import_onnx.tensors import MOST_DIMENSIONS, MalformedTensor, read_scalar

MOST_VALUES = 1 << 27
"""Values that one constant made of nothing (ConstantOfShape, Expand) may have; half a GiB in float32."""

Arrays = Sequence[Any]

# TensorProto.DataType. Halves are computed in float32: wider than they were, never narrower.
_TYPES = {
    1: np.float32,
    2: np.uint8,
    3: np.int8,
    4: np.uint16,
    5: np.int16,
    6: np.int32,
    7: np.int64,
    9: np.bool_,
    10: np.float16,
    11: np.float64,
    12: np.uint32,
    13: np.uint64,
}


class NotFoldable(Exception):
    """Constants that cannot be computed; the text says why."""


@attrs.frozen
class Move:
    """An operator: how it moves, which inputs hold what is moved, and the values that it copies."""

    move: Callable[[OnnxNode, Arrays, Findings], Sequence[NDArray[Any]]]
    data: tuple[int, ...] | Literal["all"] = (0,)
    cost: Callable[[OnnxNode, Arrays, Findings], int] = lambda node, arrays, findings: 0


def integers_of(array: Any, what: str) -> tuple[int, ...]:
    """Return an array of integers as Python's; NotFoldable where it is none, or there are very many."""
    if array is None or array.dtype.kind not in "iu" or array.size > 1 << 16:
        raise NotFoldable(f"{what} are no integers")
    return tuple(int(n) for n in array.reshape(-1))


def reshaped_sizes(shape: Sequence[int], target: Sequence[int], keeps_zero: bool) -> tuple[int, ...]:
    """Return the shape that Reshape gives: 0 keeps a size, one -1 takes what is left. Raises NotFoldable."""
    full = [shape[i] if n == 0 and not keeps_zero and i < len(shape) else n for i, n in enumerate(target)]
    count, others = math.prod(shape), math.prod(n for n in full if n != -1)
    if full.count(-1) == 1 and others > 0:
        full[full.index(-1)] = count // others
    if len(full) > MOST_DIMENSIONS or any(n < 0 for n in full) or math.prod(full) != count:
        raise NotFoldable(f"the shape {list(shape)} cannot become {list(target)[:MOST_DIMENSIONS]}")
    return tuple(full)


def reshaped(values: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Return values in another shape; one value that is repeated all over is not copied for it."""
    if values.size and not any(step for step, size in zip(values.strides, values.shape, strict=True) if size > 1):
        return np.broadcast_to(values[(0,) * values.ndim], shape)
    return values.reshape(shape)


def checked(shape: Sequence[int]) -> tuple[int, ...]:
    """Return the shape of a constant to be made; NotFoldable where it is none, or has too many values."""
    sizes = tuple(shape)
    if len(sizes) > MOST_DIMENSIONS or any(n < 0 for n in sizes) or math.prod(sizes) > MOST_VALUES:
        raise NotFoldable(f"a constant of the shape {list(sizes)[:MOST_DIMENSIONS]}")
    return sizes


def _count(node: OnnxNode, arrays: Arrays, findings: Findings) -> int:
    return sum(a.size for a in arrays if a is not None)


def _reshape(node: OnnxNode, arrays: Arrays, findings: Findings) -> list[NDArray[Any]]:
    target = integers_of(arrays[1], "the sizes")
    keeps_zero = bool(node.integer("allowzero", 0, findings))
    return [reshaped(arrays[0], reshaped_sizes(arrays[0].shape, target, keeps_zero))]


def _flatten(node: OnnxNode, arrays: Arrays, findings: Findings) -> list[NDArray[Any]]:
    shape, axis = arrays[0].shape, node.integer("axis", 1, findings)
    axis = axis + len(shape) if axis < 0 else axis
    return [reshaped(arrays[0], (math.prod(shape[:axis]), math.prod(shape[axis:])))]


def _axes(node: OnnxNode, arrays: Arrays, findings: Findings) -> tuple[int, ...] | None:
    if len(arrays) > 1 and arrays[1] is not None:
        return integers_of(arrays[1], "the axes")
    return node.integers("axes", (), findings, count=None) if "axes" in node.attributes else None


def _squeeze(node: OnnxNode, arrays: Arrays, findings: Findings) -> list[NDArray[Any]]:
    return [np.squeeze(arrays[0], _axes(node, arrays, findings))]


def _unsqueeze(node: OnnxNode, arrays: Arrays, findings: Findings) -> list[NDArray[Any]]:
    axes = _axes(node, arrays, findings) or ()
    if arrays[0].ndim + len(axes) > MOST_DIMENSIONS:
        raise NotFoldable("too many dimensions")
    return [np.expand_dims(arrays[0], axes)]


def _transpose(node: OnnxNode, arrays: Arrays, findings: Findings) -> list[NDArray[Any]]:
    order = node.integers("perm", (), findings, count=None) if "perm" in node.attributes else None
    return [np.transpose(arrays[0], order)]


def _gather(node: OnnxNode, arrays: Arrays, findings: Findings) -> list[NDArray[Any]]:
    values, indices = arrays
    if indices.dtype.kind not in "iu":
        raise NotFoldable("the indices are no integers")
    return [np.take(values, indices, axis=node.integer("axis", 0, findings))]


def _gathered(node: OnnxNode, arrays: Arrays, findings: Findings) -> int:
    values, indices = arrays
    length = values.shape[node.integer("axis", 0, findings)]
    return math.prod(checked((values.size // max(length, 1), indices.size)))


def _concat(node: OnnxNode, arrays: Arrays, findings: Findings) -> list[NDArray[Any]]:
    return [np.concatenate([a for a in arrays if a is not None], node.integer("axis", 0, findings))]


def _slice(node: OnnxNode, arrays: Arrays, findings: Findings) -> list[NDArray[Any]]:
    values = arrays[0]
    if len(arrays) > 1:
        starts, ends = integers_of(arrays[1], "the starts"), integers_of(arrays[2], "the ends")
        axes = arrays[3] if len(arrays) > 3 else None
        steps = arrays[4] if len(arrays) > 4 else None
        along = range(len(starts)) if axes is None else integers_of(axes, "the axes")
        by = (1,) * len(starts) if steps is None else integers_of(steps, "the steps")
    else:
        starts, ends = (node.integers(key, (), findings, count=None) for key in ("starts", "ends"))
        along = node.integers("axes", tuple(range(len(starts))), findings, count=None)
        by = (1,) * len(starts)
    index = [slice(None)] * values.ndim
    for axis, start, end, step in zip(along, starts, ends, by, strict=True):
        # An end before the beginning means the beginning itself when going backwards.
        index[axis] = slice(start, None if step < 0 and end < -values.shape[axis] else end, step)
    return [values[tuple(index)]]


def _split(node: OnnxNode, arrays: Arrays, findings: Findings) -> list[NDArray[Any]]:
    values, axis = arrays[0], node.integer("axis", 0, findings)
    if len(arrays) > 1 and arrays[1] is not None:
        lengths = integers_of(arrays[1], "the lengths")
    else:
        lengths = node.integers("split", (), findings, count=None)
    ends = np.cumsum(lengths or split_evenly(values.shape[axis], len(node.outputs)))
    return np.split(values, [int(n) for n in ends[:-1]], axis)


def split_evenly(length: int, parts: int) -> tuple[int, ...]:
    """Return the lengths of equal parts; the last is shorter where it does not work out (operator set 18)."""
    each = -(-length // parts)
    return (*[each] * (parts - 1), length - each * (parts - 1))


def _expand(node: OnnxNode, arrays: Arrays, findings: Findings) -> list[NDArray[Any]]:
    shape = checked(np.broadcast_shapes(arrays[0].shape, checked(integers_of(arrays[1], "the sizes"))))
    return [np.broadcast_to(arrays[0], shape)]


def _tile(node: OnnxNode, arrays: Arrays, findings: Findings) -> list[NDArray[Any]]:
    return [np.tile(arrays[0], integers_of(arrays[1], "the repeats"))]


def _tiled(node: OnnxNode, arrays: Arrays, findings: Findings) -> int:
    repeats = integers_of(arrays[1], "the repeats")
    if len(repeats) != arrays[0].ndim or any(n < 0 for n in repeats):
        raise NotFoldable(f"repeats {list(repeats)[:MOST_DIMENSIONS]} of {arrays[0].ndim} dimensions")
    return int(arrays[0].size * math.prod(repeats))


def _cast(node: OnnxNode, arrays: Arrays, findings: Findings) -> list[NDArray[Any]]:
    kind = node.integer("to", None, findings)
    if kind == 16:  # BFLOAT16
        return [arrays[0].astype(np.float32)]
    if kind not in _TYPES:
        raise NotFoldable(f"there is no type {kind} here")
    return [arrays[0].astype(_TYPES[kind], copy=False)]


def _filled(node: OnnxNode, arrays: Arrays, findings: Findings) -> list[NDArray[Any]]:
    shape = checked(integers_of(arrays[0], "the sizes"))
    attribute = node.attributes.get("value")
    try:
        value = np.zeros((), np.float32) if attribute is None else read_scalar(attribute.t)
    except MalformedTensor as error:
        raise NotFoldable(f"its value cannot be read: {error}") from None
    return [np.broadcast_to(value, shape)]


def _range(node: OnnxNode, arrays: Arrays, findings: Findings) -> list[NDArray[Any]]:
    start, limit, step = (a.reshape(()) for a in arrays)
    return [np.arange(start, limit, step, dtype=start.dtype)]


def _ranged(node: OnnxNode, arrays: Arrays, findings: Findings) -> int:
    start, limit, step = (float(a.reshape(())) for a in arrays)
    if not step or not math.isfinite(count := (limit - start) / step):
        raise NotFoldable("a range that never ends")
    return math.prod(checked((max(0, math.ceil(count)),)))


MOVES = {
    "Cast": Move(_cast, cost=_count),
    "Concat": Move(_concat, "all", _count),
    "ConstantOfShape": Move(_filled, ()),
    "Expand": Move(_expand),
    "Flatten": Move(_flatten),
    "Gather": Move(_gather, cost=_gathered),
    "Identity": Move(lambda node, arrays, findings: [arrays[0]]),
    "Range": Move(_range, (), _ranged),
    "Reshape": Move(_reshape, cost=_count),
    "Slice": Move(_slice),
    "Split": Move(_split),
    "Squeeze": Move(_squeeze),
    "Tile": Move(_tile, cost=_tiled),
    "Transpose": Move(_transpose),
    "Unsqueeze": Move(_unsqueeze),
}
"""Operators by name."""
