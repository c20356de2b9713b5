"""Boxes: what a detector's numbers mean, and which boxes overlap too much. Rows are (xmin, ymin, xmax, ymax)."""

from __future__ import annotations

import numpy as np

from cnnrt.layer import Array


def decoded_boxes(locations: Array, priors: Array, variances: Array, code_type: str) -> Array:
    """Return the boxes (boxes, 4) that `locations`, relative to `priors`, stand for, in float64."""
    offsets = locations * variances
    if code_type == "corner":
        decoded: Array = priors + offsets
        return decoded
    sizes = priors[:, 2:] - priors[:, :2]
    if code_type == "corner_size":
        return np.concatenate([priors[:, :2] + offsets[:, :2] * sizes, priors[:, 2:] + offsets[:, 2:] * sizes], axis=1)
    middles = (priors[:, :2] + priors[:, 2:]) / 2 + offsets[:, :2] * sizes
    halves = sizes * np.exp(offsets[:, 2:]) / 2
    return np.concatenate([middles - halves, middles + halves], axis=1)


def overlaps(box: Array, others: Array) -> Array:
    """Return intersection by union of a box with each of the others; 0 where they do not meet, as in Caffe."""
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    meet = (low < high).all(axis=1)
    shared = np.where(meet, np.prod(high - low, axis=1), 0.0)
    together = _area(box[np.newaxis])[0] + _area(others) - shared
    return np.where(meet, shared / np.where(meet, together, 1.0), 0.0)


def _area(boxes: Array) -> Array:
    sizes = boxes[:, 2:] - boxes[:, :2]
    return np.where((sizes < 0).any(axis=1), 0.0, np.prod(sizes, axis=1))


def suppressed(boxes: Array, scores: Array, least: float, most: int, threshold: float, eta: float) -> list[int]:
    """Return which boxes stay after non-maximum suppression, by falling score; of equal scores the first comes first.

    Boxes with scores above `least` are looked at, at most `most` of them (-1: all). One stays if it overlaps none that
    stays by more than the threshold, which is multiplied by `eta` after each as long as it is above 0.5.
    """
    able = np.flatnonzero(scores > least)
    order = able[np.argsort(-scores[able], kind="stable")]
    order = order if most == -1 else order[:most]
    kept: list[int] = []
    for place in order:
        if not kept or not (overlaps(boxes[place], boxes[kept]) > threshold).any():
            kept.append(int(place))
            if eta < 1 and threshold > 0.5:
                threshold *= eta
    return kept
