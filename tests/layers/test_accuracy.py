"""Accuracy: ties as Caffe counts them, and labels that cannot be."""

from __future__ import annotations

import numpy as np
import pytest

from cnnrt.errors import CnnrtError, ShapeError
from cnnrt_layers import Accuracy


def accuracy(topk: int, scores: list[list[float]], labels: list[float]) -> float:
    given = np.array(labels, np.float32).reshape(-1, 1, 1, 1)
    (result,) = Accuracy(topk=topk).reference([np.array(scores, np.float32)], {"labels": given})
    assert result.shape == ()
    return float(result)


def test_share_of_images_with_the_label_among_the_best() -> None:
    scores = [[0.1, 0.7, 0.2], [0.5, 0.3, 0.2], [0.2, 0.3, 0.5], [0.4, 0.35, 0.25]]
    assert accuracy(1, scores, [1, 0, 0, 1]) == 0.5
    assert accuracy(2, scores, [1, 0, 0, 1]) == 0.75
    assert accuracy(3, scores, [1, 0, 0, 1]) == 1


def test_a_class_with_the_same_score_counts_as_better() -> None:
    tie = [[0.5, 0.5, 0.0]]
    assert accuracy(1, tie, [0]) == accuracy(1, tie, [1]) == 0
    assert accuracy(2, tie, [0]) == 1
    assert accuracy(2, [[0.0, 0.0, 0.0]], [0]) == 0


def test_what_is_not_a_number_counts_as_better() -> None:
    assert accuracy(1, [[np.nan, np.nan], [0.1, np.nan], [np.nan, 0.1]], [0, 0, 0]) == 0


def test_an_empty_batch_has_accuracy_zero() -> None:
    (result,) = Accuracy(topk=1).reference(
        [np.empty((0, 3), np.float32)], {"labels": np.empty((0, 1, 1, 1), np.float32)}
    )
    assert result == 0


@pytest.mark.parametrize("label", [-1, 3, 0.5, np.nan, np.inf])
def test_labels_that_are_no_class(label: float) -> None:
    with pytest.raises(CnnrtError, match=r"of image 1 is none of the classes 0 to 2; labels are whole numbers"):
        accuracy(1, [[0.1, 0.7, 0.2]] * 3, [0, label, 0])


@pytest.mark.parametrize("stored", [(5, 1, 1, 1), (5,), (5, 1)])
def test_labels_may_be_stored_flat(stored: tuple[int, ...]) -> None:
    assert Accuracy(topk=1).weight_shapes({"labels": stored}, [(5, 10)]) == {"labels": (5, 1, 1, 1)}


@pytest.mark.parametrize(
    ("topk", "input_shape", "labels", "message"),
    [
        (
            1,
            (4, 10),
            (5, 1, 1, 1),
            "expected one label for each of 4 images (4×1×1×1), got 5×1×1×1; "
            "hand in the batch that the labels belong to",
        ),
        (1, (4, 10, 2, 2), (4, 1, 1, 1), "expected scores of shape (images, classes), got 4×10×2×2"),
        (1, (4,), (4, 1, 1, 1), "expected scores of shape (images, classes), got 4"),
        (11, (4, 10), (4, 1, 1, 1), "topk 11 is more than the 10 classes"),
    ],
)
def test_shapes_that_do_not_fit(topk: int, input_shape: tuple[int, ...], labels: tuple[int, ...], message: str) -> None:
    with pytest.raises(ShapeError) as caught:
        Accuracy(topk=topk).output_shapes([input_shape], {"labels": labels})
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        ({"labels": (4, 2)}, "expected labels of shape (images, 1, 1, 1), got 4×2"),
        ({"labels": ()}, "expected labels of shape (images, 1, 1, 1), got scalar"),
        ({}, "expected 'labels' in the parameter file, which holds nothing"),
    ],
)
def test_labels_of_another_shape(stored: dict[str, tuple[int, ...]], message: str) -> None:
    with pytest.raises(ShapeError) as caught:
        Accuracy(topk=1).weight_shapes(stored, [(4, 10)])
    assert message in str(caught.value)
