"""YoloBoxes: what the last convolution of a YOLO detector says, as boxes and scores."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import attrs
import numpy as np

from cnnrt.errors import KeyValueError, ShapeError
from cnnrt.keys import boolean, integer, number, numbers
from cnnrt.layer import Array, Layer, Shape, expect_rank, shape_text
from cnnrt.rounding import FLOAT32

BOX = 5
"""Values of a box beside the scores of classes: x, y, width, height, and whether there is an object."""


@attrs.frozen(kw_only=True)
class YoloBoxes(Layer):
    """Decodes the boxes of a YOLO detector (Redmon and Farhadi, YOLOv3, 2018, section 2.1), as OpenCV's Region does.

    Inputs: features (N, anchors × (5 + classes), H, W), for each anchor x, y, width, height, objectness and classes one
    after the other; and the network's image (N, C', H', W'), of which only the size matters. Output (N, H × W ×
    anchors, 5 + classes): a row for each cell, row by row, and each anchor of it. A row holds the middle of the box,
    its width and height as shares of the image, the objectness, and for each class its probability times the
    objectness, 0 where that is not above `threshold`. Boxes that overlap are all there.
    """

    type = "YoloBoxes"
    inputs = (2, 2)
    formula = """
        x = (column + shifted(sigmoid(tx))) / W      shifted(v) = scale_x_y * v - (scale_x_y - 1) / 2
        y = (row + shifted(sigmoid(ty))) / H
        width = exp(tw) * anchor width / W'          with activated: (2 * tw)^2 * anchor width / W'
        height = exp(th) * anchor height / H'
        objectness = sigmoid(to)                     with activated: to, tx, ty, tc instead of sigmoids
        score = objectness * sigmoid(tc) if that is above threshold else 0
    """
    example = """
        layer {
          type: "YoloBoxes"
          name: "yolo_16"
          bottom: ["conv_15", "data"]
          anchors: [10, 14, 23, 27, 37, 58]
          classes: 80
        }
    """
    suite = "cnnrt_layers.conformance.suites:YoloBoxesSuite"

    anchors: tuple[float, ...] = numbers(doc="width and height of each box that cells start from", unit="pixels")
    classes: int = integer(doc="number of classes", minimum=0)
    scale_x_y: float = number(1.0, doc="how far beyond its cell the middle of a box may lie; 1: not at all")
    activated: bool = boolean(False, doc="whether features went through a sigmoid before (Scaled-YOLOv4's new_coords)")
    threshold: float = number(0.0, doc="scores of classes up to it become 0", minimum=0)

    def __attrs_post_init__(self) -> None:
        if not self.anchors or len(self.anchors) % 2 or min(self.anchors) <= 0:
            raise KeyValueError("anchors", f"expected pairs of positive numbers, got {list(self.anchors)}")

    def output_shapes(self, inputs: Sequence[Shape], weights: Mapping[str, Shape]) -> tuple[Shape, ...]:
        """Return (N, H × W × anchors, 5 + classes)."""
        features, image = inputs
        for place, shape in enumerate(inputs, start=1):
            expect_rank(shape, 4, f"input {place}")
            if 0 in shape[2:]:
                raise ShapeError(f"expected input {place} of at least one row and one column")
        boxes, values = len(self.anchors) // 2, BOX + self.classes
        if features[1] != boxes * values:
            raise ShapeError(
                f"{boxes} anchors and {self.classes} classes need {boxes} × {values} = {boxes * values} channels, got "
                f"{shape_text(features)}"
            )
        if features[0] != image[0]:
            raise ShapeError(f"expected as many images in both inputs, got {features[0]} and {image[0]}")
        return ((features[0], math.prod(features[2:]) * boxes, values),)

    def itemwise(self, inputs: Sequence[Shape]) -> bool:
        """Return True: an image's boxes depend on nothing but its features."""
        return True

    def error_bound(
        self, inputs: Sequence[Array], weights: Mapping[str, Array], exact: Sequence[Array]
    ) -> tuple[Array, ...]:
        """Return the measured bound, and what is rounded where the middle of a box is moved by less than a cell."""
        (bound,) = super().error_bound(inputs, weights, exact)
        rows, columns = inputs[0].shape[2:]
        bound[..., :2] += 8 * FLOAT32 * (1 + abs(self.scale_x_y)) / np.array([columns, rows], np.float64)
        return (bound,)

    def flops(self, inputs: Sequence[Shape], outputs: Sequence[Shape], weights: Mapping[str, Shape]) -> int:
        """Return 4 for each value: a sigmoid or an exponential, a sum and a product."""
        return 4 * math.prod(outputs[0])

    def reference_workspace(
        self, inputs: Sequence[Shape], outputs: Sequence[Shape], weights: Mapping[str, Shape]
    ) -> int:
        """Return the bytes of the values in float64, four times."""
        return 32 * math.prod(outputs[0])

    def reference(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        """Compute in float64; shapes and dtypes as in `Layer.reference`."""
        features, image = inputs
        (images, _, rows, columns), (height, width) = features.shape, image.shape[2:]
        anchors = np.array(self.anchors, np.float64).reshape(-1, 2)
        apart = features.reshape(images, len(anchors), BOX + self.classes, rows, columns)
        t = apart.transpose(0, 3, 4, 1, 2).astype(np.float64)  # image, row, column, anchor, value
        boxes = np.empty_like(t)
        with np.errstate(over="ignore"):  # in float32 as well, a box may be wider than any number
            likely = t if self.activated else 1 / (1 + np.exp(-t))
            shifted = self.scale_x_y * likely[..., :2] - (self.scale_x_y - 1) / 2
            boxes[..., 0] = (np.arange(columns)[:, np.newaxis] + shifted[..., 0]) / columns
            boxes[..., 1] = (np.arange(rows)[:, np.newaxis, np.newaxis] + shifted[..., 1]) / rows
            sizes = (2 * t[..., 2:4]) ** 2 if self.activated else np.exp(t[..., 2:4])
            boxes[..., 2:4] = sizes * (anchors / (width, height))
            boxes[..., 4] = likely[..., 4]
            scores = likely[..., 4:5] * likely[..., BOX:]
            boxes[..., BOX:] = np.where(scores > self.threshold, scores, 0)
            rowwise = boxes.reshape(images, rows * columns * len(anchors), BOX + self.classes)
            return (rowwise.astype(features.dtype, copy=False),)
