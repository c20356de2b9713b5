"""What a network answered, for a person: the most likely classes, or a summary of the numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np

from cnnrt.layer import Array


@attrs.frozen
class Answer:
    """A class of one item: its index, its label (empty: none is known) and its score."""

    index: int
    label: str
    score: float


def class_scores(output: Array, labels: Sequence[str] | None, *, forced: bool = False) -> Array | None:
    """Return an output as scores (items, classes), None where it is something else.

    Taken for scores are two-dimensional outputs (further dimensions of 1 do not count) of at least two columns, whose
    columns are as many as the labels or whose rows are probabilities; `forced`: whatever the columns are.
    """
    items, columns = (*output.shape, 0, 0)[:2]
    if output.ndim < 2 or items < 1 or columns < 2 or output.size != items * columns:
        return None
    scores = output.reshape(items, columns)
    if forced or (labels is not None and len(labels) == scores.shape[1]) or _are_probabilities(scores):
        return scores
    return None


def top_classes(scores: Array, labels: Sequence[str] | None, count: int) -> list[list[Answer]]:
    """Return, for each item, the `count` classes of the highest score, best first; the lower index wins a tie."""
    fitting = labels if labels is not None and len(labels) == scores.shape[1] else None
    best = np.argsort(-scores, axis=1, kind="stable")[:, :count]
    return [
        [Answer(int(i), fitting[i] if fitting else "", float(row[i])) for i in order]
        for row, order in zip(scores, best, strict=True)
    ]


def summary(output: Array) -> dict[str, Any]:
    """Return shape, smallest, largest and mean value of an output (None where it has no values)."""
    values = output.astype(np.float64)
    some = output.size > 0
    return {
        "shape": list(output.shape),
        "min": float(np.min(values)) if some else None,
        "max": float(np.max(values)) if some else None,
        "mean": float(np.mean(values)) if some else None,
    }


def _are_probabilities(scores: Array) -> bool:
    sums = scores.sum(axis=1, dtype=np.float64)
    return bool((scores >= 0).all() and np.allclose(sums, 1, atol=1e-3))
