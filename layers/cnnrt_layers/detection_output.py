"""DetectionOutput: the boxes that SSD has found."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import attrs
import numpy as np

from cnnrt.errors import KeyValueError, ShapeError
from cnnrt.keys import boolean, choice, integer, number, optional_number
from cnnrt.layer import Array, Layer, Shape, shape_text
from cnnrt_layers.boxes import decoded_boxes, suppressed

NOTHING = -1.0
"""What rows hold behind the last detection."""


@attrs.frozen(kw_only=True)
class DetectionOutput(Layer):
    """Decodes boxes, drops those that overlap a better one of their class, and keeps the best (SSD, Liu et al., 2016).

    Inputs: locations (N, boxes × 4), or (N, boxes × classes × 4) where `share_location` is false; scores (N, boxes ×
    classes); priors (1, 2, boxes × 4), PriorBox's. Output (N, K, 7): for each image at most K detections (number of the
    image, class, score, xmin, ymin, xmax, ymax), by class and then by falling score, the corners as shares of the
    image. The rows behind them hold -1. K is `keep_top_k`, or where that is -1 as many as there can be.

    For each class but the background, the `top_k` boxes of the highest scores above `confidence_threshold` are gone
    through; each is kept unless it overlaps one that was kept by more than `nms_threshold` (intersection by union).
    With `eta` below 1 that threshold falls with each box kept, as long as it is above 0.5. Caffe's output has a row for
    each detection only, (1, 1, detections, 7); here the shape does not depend on the values.
    """

    type = "DetectionOutput"
    inputs = (3, 3)
    formula = """
        corner:       box = prior + variance * location
        center_size:  middle = prior middle + variance * location * prior size
                      size = prior size * exp(variance * location)
        corner_size:  box = prior + variance * location * prior size
    """
    example = """
        layer {
          type: "DetectionOutput"
          name: "detection_out"
          bottom: ["branch1", "branch2", "branch1"]
          num_classes: 21
          nms_threshold: 0.45
          top_k: 400
          keep_top_k: 200
          code_type: "center_size"
          confidence_threshold: 0.01
        }
    """
    suite = "cnnrt_layers.conformance.suites:DetectionOutputSuite"

    num_classes: int = integer(doc="number of classes, the background included", minimum=1)
    share_location: bool = boolean(True, doc="whether all classes share their boxes")
    background_label_id: int = integer(0, doc="the class that is no object; -1: there is none", minimum=-1)
    nms_threshold: float = number(0.3, doc="overlap from which on the worse one of two boxes is dropped", minimum=0)
    top_k: int = integer(-1, doc="boxes of a class that are looked at; -1: all", minimum=-1)
    eta: float = number(1.0, doc="factor of the threshold after each box kept", minimum=0, maximum=1)
    keep_top_k: int = integer(-1, doc="detections kept of an image; -1: all", minimum=-1)
    confidence_threshold: float | None = optional_number(doc="scores have to be above it; absent, all are looked at")
    code_type: str = choice(
        "corner",
        choices={name: name for name in ("corner", "center_size", "corner_size")},
        doc="what locations are, relative to priors",
    )
    variance_encoded_in_target: bool = boolean(False, doc="whether locations hold the variances already")

    def __attrs_post_init__(self) -> None:
        for key, value in (("top_k", self.top_k), ("keep_top_k", self.keep_top_k)):
            if value == 0:
                raise KeyValueError(key, "expected a positive number, or -1 for all, got 0")

    def classes(self) -> list[int]:
        """Return the classes that are objects."""
        return [c for c in range(self.num_classes) if c != self.background_label_id]

    def output_shapes(self, inputs: Sequence[Shape], weights: Mapping[str, Shape]) -> tuple[Shape, ...]:
        """Return (N, K, 7)."""
        locations, scores, priors = inputs
        if len(priors) != 3 or priors[:2] != (1, 2) or priors[2] % 4:
            raise ShapeError(f"expected priors of shape (1, 2, boxes × 4), got {shape_text(priors)}")
        boxes = priors[2] // 4
        located = boxes * (1 if self.share_location else self.num_classes)
        wanted = {"locations": (locations, 4 * located), "scores": (scores, boxes * self.num_classes)}
        for name, (shape, values) in wanted.items():
            if len(shape) < 2 or shape[0] != locations[0] or math.prod(shape[1:]) != values:
                raise ShapeError(
                    f"{boxes} priors and {self.num_classes} classes need {name} of shape (N, {values}), "
                    f"got {shape_text(shape)}"
                )
        return ((locations[0], self._most(boxes), 7),)

    def _most(self, boxes: int) -> int:
        """Return how many detections an image can have."""
        looked_at = boxes if self.top_k == -1 else min(self.top_k, boxes)
        found = looked_at * len(self.classes())
        return found if self.keep_top_k == -1 else min(self.keep_top_k, found)

    def flops(self, inputs: Sequence[Shape], outputs: Sequence[Shape], weights: Mapping[str, Shape]) -> int:
        """Return 10 for each box decoded and 1 for each score; overlaps depend on the values."""
        return 10 * math.prod(inputs[0]) // 4 + math.prod(inputs[1])

    def reference_workspace(
        self, inputs: Sequence[Shape], outputs: Sequence[Shape], weights: Mapping[str, Shape]
    ) -> int:
        """Return the bytes of one image's boxes, scores, order and detections, in float64."""
        one = math.prod(inputs[0][1:]) + math.prod(inputs[1][1:]) + 2 * inputs[2][2]
        return 8 * (8 * one + 32 * outputs[0][1] * max(1, len(self.classes())))

    def reference(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        """Go through images and classes in float64; shapes and dtypes as in `Layer.reference`."""
        locations, scores, priors = inputs
        boxes = priors.shape[2] // 4
        corners, variances = (part.reshape(boxes, 4).astype(np.float64) for part in priors[0])
        if self.variance_encoded_in_target:
            variances = np.ones_like(variances)
        result = np.full((len(locations), self._most(boxes), 7), NOTHING, locations.dtype)
        with np.errstate(all="ignore"):
            for number_of_image, rows in enumerate(result):
                located = locations[number_of_image].reshape(boxes, -1, 4).astype(np.float64)
                by_class = scores[number_of_image].reshape(boxes, self.num_classes).astype(np.float64)
                found = self._detections(located, by_class, corners, variances)
                rows[: len(found), 1:] = found
                rows[: len(found), 0] = number_of_image
        return (result,)

    def _detections(self, located: Array, scores: Array, priors: Array, variances: Array) -> Array:
        """Return the detections of one image as rows (class, score, corners), by class, then by falling score."""
        found = []
        least = -math.inf if self.confidence_threshold is None else self.confidence_threshold
        shared = decoded_boxes(located[:, 0], priors, variances, self.code_type) if self.share_location else None
        for label in self.classes():
            own = shared
            if own is None:
                own = decoded_boxes(located[:, label], priors, variances, self.code_type)
            kept = suppressed(own, scores[:, label], least, self.top_k, self.nms_threshold, self.eta)
            found.append(np.column_stack([np.full(len(kept), label), scores[kept, label], own[kept]]))
        rows = np.concatenate(found) if found else np.zeros((0, 6))
        if self.keep_top_k != -1 and len(rows) > self.keep_top_k:
            best = np.argsort(-rows[:, 1], kind="stable")[: self.keep_top_k]
            rows = rows[np.sort(best)]
        return rows
