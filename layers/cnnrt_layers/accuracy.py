"""Accuracy: the share of images whose label is among the best scores."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import attrs
import numpy as np

from cnnrt.errors import CnnrtError, ShapeError
from cnnrt.keys import integer
from cnnrt.layer import Array, Layer, Shape, WeightSpec, shape_text
from cnnrt_layers.parameters import expect_stored


@attrs.frozen(kw_only=True)
class Accuracy(Layer):
    """Gives the share of images whose true class is among the `topk` best scores, one number for the batch.

    Input (N, C) or (N, C, 1, 1), output a scalar between 0 and 1 (0 for an empty batch). The labels are counted from 0
    and must be as many as the images: the parameter file belongs to one batch.

    A class that scores exactly as much as the true one counts as better, as in Caffe; so a network that gives all
    classes the same score is right about none, unless `topk` is the number of classes. The same holds for scores that
    are not numbers, which Caffe would count as right.
    """

    type = "Accuracy"
    weights = (WeightSpec("labels", "(N, 1, 1, 1)", "the true class of each image, 0 to C - 1"),)
    formula = """
        y = 1 / N * number of images n with  better(n) < topk
        better(n) = number of classes c other than label[n] with  x[n, c] >= x[n, label[n]]
    """
    example = """
        layer {
          type: "Accuracy"
          name: "accuracy"
          parameters_file: "labels.msg"
          topk: 5
        }
    """
    suite = "cnnrt_layers.conformance.suites:AccuracySuite"

    topk: int = integer(minimum=1, doc="how many of the best scores count as right", unit="classes")

    def weight_shapes(self, stored: Mapping[str, Shape], inputs: Sequence[Shape]) -> Mapping[str, Shape]:
        """Return the labels as (N, 1, 1, 1), also where they are stored as a flat list."""
        labels = expect_stored("labels", stored)
        if len(labels) == 0 or math.prod(labels[1:]) != 1:
            raise ShapeError(f"expected labels of shape (images, 1, 1, 1), got {shape_text(labels)}")
        return {**stored, "labels": (labels[0], 1, 1, 1)}

    def output_shapes(self, inputs: Sequence[Shape], weights: Mapping[str, Shape]) -> tuple[Shape, ...]:
        """Return the shape of a scalar."""
        shape, labels = inputs[0], expect_stored("labels", weights)
        if len(shape) not in (2, 4) or shape[2:] not in ((), (1, 1)):
            raise ShapeError(f"expected scores of shape (images, classes), got {shape_text(shape)}")
        if labels != (shape[0], 1, 1, 1):
            raise ShapeError(
                f"expected one label for each of {shape[0]} images ({shape[0]}×1×1×1), got {shape_text(labels)}; "
                f"hand in the batch that the labels belong to"
            )
        if self.topk > shape[1]:
            raise ShapeError(f"topk {self.topk} is more than the {shape[1]} classes")
        return ((),)

    def flops(self, inputs: Sequence[Shape], outputs: Sequence[Shape], weights: Mapping[str, Shape]) -> int:
        """Return one comparison for each score."""
        return math.prod(inputs[0])

    def reference_workspace(
        self, inputs: Sequence[Shape], outputs: Sequence[Shape], weights: Mapping[str, Shape]
    ) -> int:
        """Return the bytes of a truth value for each score, and of a few numbers for each image."""
        return math.prod(inputs[0]) + 64 * inputs[0][0]

    def reference(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        """Count the classes that are at least as good; CnnrtError where a label is none of the classes."""
        images, classes = inputs[0].shape[0], inputs[0].shape[1]
        scores = inputs[0].reshape(images, classes)
        labels = weights["labels"].reshape(images)
        wrong = np.flatnonzero(~((labels >= 0) & (labels < classes) & (np.floor(labels) == labels)))
        if len(wrong):
            raise CnnrtError(
                f"label {labels[wrong[0]]:g} of image {wrong[0]} is none of the classes 0 to {classes - 1}; "
                f"labels are whole numbers counted from 0"
            )
        own = np.take_along_axis(scores, labels.astype(np.intp)[:, None], axis=1)
        # "Not less" instead of "at least": the true class itself always counts, and so does whatever is not a number.
        better = np.count_nonzero(~(scores < own), axis=1) - 1
        share = np.count_nonzero(better < self.topk) / images if images else 0.0
        return (np.array(share, inputs[0].dtype),)
