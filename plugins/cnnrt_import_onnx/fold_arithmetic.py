"""Operators that compute, on constants: one NumPy expression each, with ONNX's types."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnrt.findings import Findings
from cnnrt_import_onnx.fold_moves import NotFoldable
from cnnrt_import_onnx.nodes import OnnxNode

Arrays = Sequence[Any]
Compute = Callable[[OnnxNode, Arrays, Findings], Any]


def _unary(function: Callable[[Any], Any]) -> Compute:
    def compute(node: OnnxNode, arrays: Arrays, findings: Findings) -> Any:
        result = np.asarray(function(arrays[0]))
        return result if result.dtype == bool else result.astype(arrays[0].dtype)

    return compute


def _joining(function: Callable[[Any, Any], Any], *, two: bool) -> Compute:
    """Return an operator of two inputs, or of any number, taken from left to right, in the type of the first."""

    def compute(node: OnnxNode, arrays: Arrays, findings: Findings) -> Any:
        if two and len(arrays) != 2:
            raise NotFoldable(f"{len(arrays)} inputs; expected 2")
        result = functools.reduce(function, arrays)
        return result if result.dtype == bool else result.astype(arrays[0].dtype)

    return compute


def _quotient(a: NDArray[Any], b: NDArray[Any]) -> Any:
    """Divide; integers are cut towards 0, as C does."""
    if a.dtype.kind not in "iu":
        return a / b
    if not b.all():
        raise NotFoldable("an integer is divided by 0")
    quotient = np.abs(a) // np.abs(b)
    return np.where((a < 0) != (b < 0), -quotient, quotient)


def _remainder(node: OnnxNode, arrays: Arrays, findings: Findings) -> Any:
    a, b = arrays
    if a.dtype.kind in "iu" and not b.all():
        raise NotFoldable("an integer is divided by 0")
    return np.fmod(a, b) if node.integer("fmod", 0, findings) else np.mod(a, b)


def _mean(node: OnnxNode, arrays: Arrays, findings: Findings) -> Any:
    return functools.reduce(np.add, arrays) / np.asarray(len(arrays), arrays[0].dtype)


def _reduction(function: Callable[..., Any]) -> Compute:
    def compute(node: OnnxNode, arrays: Arrays, findings: Findings) -> Any:
        values, axes = arrays[0], _axes(node, arrays, findings)
        if axes == () and node.integer("noop_with_empty_axes", 0, findings):
            return values
        kept = bool(node.integer("keepdims", 1, findings))
        return np.asarray(function(values, axis=axes or None, keepdims=kept)).astype(values.dtype)

    return compute


def _axes(node: OnnxNode, arrays: Arrays, findings: Findings) -> tuple[int, ...]:
    if len(arrays) > 1 and arrays[1] is not None:
        return tuple(int(n) for n in arrays[1].reshape(-1))
    return node.integers("axes", (), findings, count=None)


def _running_sum(node: OnnxNode, arrays: Arrays, findings: Findings) -> Any:
    values, axis = arrays[0], int(arrays[1].reshape(()))
    backwards = bool(node.integer("reverse", 0, findings))
    turned = np.flip(values, axis) if backwards else values
    sums = np.cumsum(turned, axis, dtype=values.dtype)
    if node.integer("exclusive", 0, findings):
        sums = sums - turned
    return np.flip(sums, axis) if backwards else sums


def _power(a: NDArray[Any], b: NDArray[Any]) -> Any:
    if a.dtype.kind in "iu" and b.dtype.kind in "iu" and (b < 0).any():
        raise NotFoldable("an integer is raised to a negative power")
    return np.power(a, b)


_TOGETHER: Mapping[str, Callable[..., Any]] = {
    "Add": np.add,
    "And": np.logical_and,
    "Div": _quotient,
    "Equal": np.equal,
    "Greater": np.greater,
    "GreaterOrEqual": np.greater_equal,
    "Less": np.less,
    "LessOrEqual": np.less_equal,
    "Max": np.maximum,
    "Min": np.minimum,
    "Mul": np.multiply,
    "Or": np.logical_or,
    "Pow": _power,
    "Sub": np.subtract,
    "Sum": np.add,
    "Xor": np.logical_xor,
}
_ALONE: Mapping[str, Callable[[Any], Any]] = {
    "Abs": np.abs,
    "Ceil": np.ceil,
    "Cos": np.cos,
    "Exp": np.exp,
    "Floor": np.floor,
    "IsNaN": np.isnan,
    "Log": np.log,
    "Neg": np.negative,
    "Not": np.logical_not,
    "Reciprocal": np.reciprocal,
    "Round": np.round,
    "Sign": np.sign,
    "Sin": np.sin,
    "Sqrt": np.sqrt,
    "Tanh": np.tanh,
}
_ALONG: Mapping[str, Callable[..., Any]] = {
    "ReduceMax": np.max,
    "ReduceMean": np.mean,
    "ReduceMin": np.min,
    "ReduceProd": np.prod,
    "ReduceSum": np.sum,
}

ARITHMETIC: Mapping[str, Compute] = {
    **{op: _joining(function, two=op not in ("Max", "Min", "Sum")) for op, function in _TOGETHER.items()},
    **{op: _unary(function) for op, function in _ALONE.items()},
    **{op: _reduction(function) for op, function in _ALONG.items()},
    "CumSum": _running_sum,
    "Mean": _mean,
    "Mod": _remainder,
    "Where": lambda node, arrays, findings: np.where(arrays[0].astype(bool), arrays[1], arrays[2]),
}
"""Operators by name: node, arrays, findings -> the result."""
