"""Reductions, comparisons, normalisations and SSD's layers: by example, and what they refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cnnrt.errors import KeyValueError, ShapeError
from cnnrt.layer import Layer, Shape
from cnnrt_layers import (
    MVN,
    ArgMax,
    DetectionOutput,
    GroupNorm,
    InstanceNorm,
    LayerNorm,
    LogSoftmax,
    MatMul,
    Normalize,
    PriorBox,
    Reduction,
)

X = np.array([[[3.0, 1.0], [2.0, 3.0]]])


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (Reduction(), 9),
        (Reduction(axis=1, coeff=0.5), [4.5]),
        (Reduction(operation="mean", axes=[-1], keepdims=True), [[[2], [2.5]]]),
        (Reduction(operation="log_sum_exp", axes=2), [[3 + np.log1p(np.exp(-2)), 3 + np.log1p(np.exp(-1))]]),
        (ArgMax(), [[[0]]]),
        (ArgMax(top_k=2, out_max_val=True), [[[0, 3], [3, 3]]]),
        (ArgMax(axis=1), [[[0, 1]]]),
        (ArgMax(axis=-1, out_max_val=True, keepdims=False), [[3, 3]]),
        (ArgMax(select_last=True), [[[3]]]),
        (ArgMax(smallest=True), [[[1]]]),
        (MVN(eps=0), [[[1, -1], [-1, 1]]]),
        (MVN(eps=0, normalize_variance=False), [[[1, -1], [-0.5, 0.5]]]),
        (InstanceNorm(epsilon=0), [[[1, -1], [-1, 1]]]),
        (LayerNorm(epsilon=0), [[[1, -1], [-1, 1]]]),
        (GroupNorm(group=2, epsilon=0), [[[1, -1], [-1, 1]]]),
        (Normalize(eps=0), [[[3 / 13**0.5, 1 / 10**0.5], [2 / 13**0.5, 3 / 10**0.5]]]),
        (Normalize(eps=0, p=1, across_spatial=True), [[[3 / 9, 1 / 9], [2 / 9, 3 / 9]]]),
    ],
    ids=str,
)
def test_by_example(layer: Layer, expected: Any) -> None:
    (result,) = layer.reference([X], {})
    np.testing.assert_allclose(result, np.asarray(expected, np.float64), rtol=1e-14)
    assert result.shape == np.shape(expected)


def test_log_softmax_keeps_what_softmax_rounds_to_zero() -> None:
    (result,) = LogSoftmax().reference([np.float32([[0, -500]])], {})
    np.testing.assert_array_equal(result, [[0, -500]])


def test_a_vector_of_zeros_stays_one() -> None:
    (result,) = Normalize(eps=0).reference([np.zeros((1, 3))], {})
    np.testing.assert_array_equal(result, [[0, 0, 0]])


def test_prior_boxes_of_ssd() -> None:
    """The first cell of conv4_3 in SSD300: 38 × 38 cells of 8 pixels, boxes of 30 pixels, of 42.4, and 2 : 1."""
    layer = PriorBox(min_size=30, max_size=60, aspect_ratio=2, step=8, variance=[0.1, 0.1, 0.2, 0.2])
    features, image = np.empty((1, 1, 38, 38)), np.empty((1, 3, 300, 300))
    (result,) = layer.reference([features, image], {})
    assert result.shape == (1, 2, 38 * 38 * 4 * 4)
    first = result[0, 0].reshape(-1, 4)[:4] * 300
    side = (30 * 60) ** 0.5
    for box, (width, height) in zip(first, [(30, 30), (side, side), (42.426, 21.213), (21.213, 42.426)], strict=True):
        np.testing.assert_allclose(box, [4 - width / 2, 4 - height / 2, 4 + width / 2, 4 + height / 2], atol=1e-3)
    np.testing.assert_array_equal(result[0, 1].reshape(-1, 4), [[0.1, 0.1, 0.2, 0.2]] * (38 * 38 * 4))


def test_detections_that_overlap_a_better_one_are_dropped() -> None:
    boxes = np.array([[0, 0, 1, 1], [0, 0, 1, 0.9], [2, 2, 3, 3]])
    priors = np.stack([boxes.ravel(), np.ones(12)]).reshape(1, 2, 12)
    scores = np.array([[0.9, 0.1, 0.2, 0.8, 0.3, 0.7]])  # background and object of each
    layer = DetectionOutput(num_classes=2, nms_threshold=0.5, keep_top_k=5, confidence_threshold=0.05)
    (found,) = layer.reference([np.zeros((1, 12)), scores, priors], {})
    np.testing.assert_allclose(found[0, :2], [[0, 1, 0.8, 0, 0, 1, 0.9], [0, 1, 0.7, 2, 2, 3, 3]])
    np.testing.assert_array_equal(found[0, 2:], -1)


@pytest.mark.parametrize(
    ("make", "key", "message"),
    [
        (lambda: Reduction(axes=1, axis=1), "axis", "expected either axes or axis"),
        (lambda: Reduction(operation="median"), "operation", "expected one of sum"),
        (lambda: ArgMax(top_k=2, axis=1, keepdims=False), "keepdims", "an axis can only be left out"),
        (lambda: PriorBox(min_size=30, max_size=20), "max_size", "expected each to be larger than its min_size"),
        (lambda: PriorBox(min_size=30, variance=[1, 2]), "variance", "expected one or four positive numbers"),
        (lambda: PriorBox(min_size=30, step_w=8), "step", "expected step, or both step_w and step_h"),
        (lambda: DetectionOutput(num_classes=2, top_k=0), "top_k", "expected a positive number, or -1 for all, got 0"),
    ],
)
def test_keys_that_are_refused(make: Any, key: str, message: str) -> None:
    with pytest.raises(KeyValueError) as caught:
        make()
    assert caught.value.key == key
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("layer", "inputs", "message"),
    [
        (Reduction(axes=[1, -1]), [(2, 3)], "axes [1, -1] name an axis of the input 2×3 twice"),
        (Reduction(operation="max", axes=1), [(2, 0)], "there are no values along the axes [1] of the input 2×0"),
        (ArgMax(axis=1, top_k=4), [(2, 3)], "expected at least 4 values to compare in 2×3, got 3"),
        (LogSoftmax(), [(2, 0)], "axis 1 of the input 2×0 has no values to choose from"),
        (InstanceNorm(), [(2, 3)], "expected input of shape (images, channels, places, ...), got 2×3"),
        (InstanceNorm(), [(2, 3, 0)], "the input 2×3×0 has no values to normalise"),
        (GroupNorm(group=2), [(1, 3, 4)], "group 2 does not divide the 3 channels of the input"),
        (MatMul(), [(2, 3), (4, 5)], "matrices of 2×3 and 4×5 have no product: 3 columns, but 4 rows"),
        (MatMul(), [(2, 3, 4), (3, 4, 5)], "equal or 1 along each axis"),
        (PriorBox(min_size=3), [(1, 3), (1, 3, 4, 4)], "expected input 1 of shape (images, channels, rows, columns)"),
        (DetectionOutput(num_classes=2), [(1, 8), (1, 4), (1, 1, 8)], "expected priors of shape (1, 2, boxes × 4)"),
        (DetectionOutput(num_classes=2), [(1, 8), (1, 5), (1, 2, 8)], "2 classes need scores of shape (N, 4), got 1×5"),
    ],
)
def test_shapes_that_do_not_fit(layer: Layer, inputs: list[Shape], message: str) -> None:
    with pytest.raises(ShapeError) as caught:
        layer.output_shapes(inputs, {})
    assert message in str(caught.value)
