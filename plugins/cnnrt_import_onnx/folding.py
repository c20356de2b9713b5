"""What a node of constants gives is computed while the model is read: the arithmetic of shapes above all.

A shape may hold the number of images, which is not known and stays open. Operators that only move values move it along
(`Tensor.batch` says where it is); what is computed from it cannot be a constant.

Files are hostile: sizes are checked before anything of that size is made, and all that one model computes here is kept
within a budget of bytes touched.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from cnnrt.findings import Findings
from cnnrt_import_onnx.fold_arithmetic import ARITHMETIC
from cnnrt_import_onnx.fold_moves import MOVES, NotFoldable
from cnnrt_import_onnx.nodes import OnnxNode
from cnnrt_import_onnx.tensors import Tensor, tensor_of

FOLDED = frozenset((*ARITHMETIC, *MOVES))
"""Operators that are computed here where all their inputs are constants."""

LEAST_BUDGET = 64 << 20
"""Bytes that folding may touch in any model; a model with more constants may touch four times their bytes."""


@attrs.define
class Budget:
    """The bytes that may still be touched."""

    left: int

    def spend(self, nbytes: int) -> None:
        """Take bytes off; NotFoldable where there are not so many left."""
        if nbytes > self.left:
            raise NotFoldable("computing the model's constants takes too much memory")
        self.left -= nbytes


def fold(
    node: OnnxNode, inputs: Sequence[Tensor | None], findings: Findings, budget: Budget
) -> tuple[Tensor, ...] | None:
    """Return what a node gives whose inputs are all constants; None, and a problem, where that cannot be said."""
    try:
        with np.errstate(all="ignore"):
            return _folded(node, inputs, findings, budget)
    except NotFoldable as error:
        reason = str(error)
    except (ValueError, TypeError, IndexError, OverflowError) as error:  # NumPy's, of shapes and types that do not fit
        reason = str(error)[:200]
    findings.problem(f"{node.title}: its constants cannot be computed: {reason}")
    return None


def _folded(node: OnnxNode, inputs: Sequence[Tensor | None], findings: Findings, budget: Budget) -> tuple[Tensor, ...]:
    name = next((o for o in node.outputs if o), "")
    open_ones = [i for i, t in enumerate(inputs) if t is not None and t.batch is not None]
    if node.op not in MOVES:
        if any(tensor is None for tensor in inputs):
            raise NotFoldable("an input is left out")
        if open_ones:
            raise NotFoldable("one depends on the number of images, which is not known before the network runs")
        arrays = [None if t is None else t.array() for t in inputs]
        shapes = [a.shape for a in arrays if a is not None]
        count = math.prod(np.broadcast_shapes(*shapes))
        budget.spend(8 * max(count, *(math.prod(s) for s in shapes)))
        result = np.asarray(ARITHMETIC[node.op](node, arrays, findings))
        return (tensor_of(result, name),)
    moved = MOVES[node.op]
    if inputs[0] is None or (node.op == "Range" and None in inputs):
        raise NotFoldable("an input is left out")
    if moved.data != "all" and any(i not in moved.data for i in open_ones):
        raise NotFoldable("a size depends on the number of images, which is not known before the network runs")
    arrays = [None if t is None else t.array() for t in inputs]
    budget.spend(8 * moved.cost(node, arrays, findings))
    results = moved.move(node, arrays, findings)
    marks: Sequence[NDArray[Any] | None] = [None] * len(results)
    if open_ones:
        marked = [
            _marks(tensor) if moved.data == "all" or i in moved.data else array
            for i, (tensor, array) in enumerate(zip(inputs, arrays, strict=True))
        ]
        marks = [mark.astype(bool) for mark in moved.move(node, marked, findings)]
    return tuple(tensor_of(result, name, mark) for result, mark in zip(results, marks, strict=True))


def _marks(tensor: Tensor | None) -> NDArray[Any] | None:
    if tensor is None:
        return None
    return np.zeros(tensor.shape, bool) if tensor.batch is None else tensor.batch
