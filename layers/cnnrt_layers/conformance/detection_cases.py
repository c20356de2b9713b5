"""Random cases of detectors' layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import numpy as np
from hypothesis import strategies as st

from cnnrt.testing.case import Case, frozen, make_case
from cnnrt_layers import DetectionOutput, PriorBox, YoloBoxes
from cnnrt_layers.conformance.draws import BATCHES, SEEDS, Draw


@st.composite
def prior_boxes(draw: Draw) -> Case:
    """Draw sizes, ratios and steps."""
    keys: Any = draw(st.sampled_from([{}, {"step": 8.0}, {"step_w": 4.0, "step_h": 6.0}, {"img_w": 100, "img_h": 50}]))
    small = sorted(draw(st.lists(st.sampled_from([4.0, 10.0, 30.0]), min_size=1, max_size=2, unique=True)))
    layer = PriorBox(
        min_size=tuple(small),
        max_size=tuple(size * 2 for size in small) if draw(st.booleans()) else (),
        aspect_ratio=tuple(draw(st.lists(st.sampled_from([1.0, 2.0, 3.0, 0.5]), max_size=3))),
        flip=draw(st.booleans()),
        clip=draw(st.booleans()),
        variance=draw(st.sampled_from([(0.1,), (0.1, 0.1, 0.2, 0.2)])),
        offset=draw(st.sampled_from([0.5, 0.0])),
        **keys,
    )
    features, image = ((draw(BATCHES), 2, draw(st.integers(1, 4)), draw(st.integers(1, 4))) for _ in range(2))
    return make_case(layer, [features, (image[0], 3, image[2] * 16, image[3] * 16)], seed=draw(SEEDS))


@st.composite
def detection_outputs(draw: Draw) -> Case:
    """Draw boxes of which many overlap, with scores of which some are equal."""
    boxes, classes = draw(st.integers(1, 8)), draw(st.integers(1, 3))
    shared = draw(st.booleans())
    layer = DetectionOutput(
        num_classes=classes,
        share_location=shared,
        background_label_id=draw(st.integers(-1, classes - 1)),
        nms_threshold=draw(st.sampled_from([0.3, 0.6, 0.0])),
        top_k=draw(st.sampled_from([-1, 2, 400])),
        eta=draw(st.sampled_from([1.0, 0.8])),
        keep_top_k=draw(st.sampled_from([-1, 3, 200])),
        confidence_threshold=draw(st.sampled_from([None, 0.0, 0.5])),
        code_type=draw(st.sampled_from(["corner", "center_size", "corner_size"])),
        variance_encoded_in_target=draw(st.booleans()),
    )
    images, seed = draw(BATCHES), draw(SEEDS)
    located = boxes * 4 * (1 if shared else classes)
    case = make_case(
        layer, [(images, located), (images, boxes * classes), (1, 2, boxes * 4)], seed=seed, coarse=draw(st.booleans())
    )
    rng = np.random.default_rng(seed)
    corners = rng.random((boxes, 2))
    priors = np.stack(
        [np.concatenate([corners, corners + 0.3 + rng.random((boxes, 2)) / 2], axis=1), np.full((boxes, 4), 0.1)]
    )
    inputs = (*case.inputs[:2], frozen(priors.reshape(1, 2, -1).astype(np.float32)))
    return attrs.evolve(case, inputs=inputs)


@st.composite
def yolo_boxes(draw: Draw) -> Case:
    """Draw anchors, classes, and both ways of coding; scores near the threshold are as likely as any."""
    boxes, classes = draw(st.integers(1, 3)), draw(st.integers(0, 3))
    layer = YoloBoxes(
        anchors=tuple(draw(st.lists(st.sampled_from([3.0, 10.5, 40.0]), min_size=2 * boxes, max_size=2 * boxes))),
        classes=classes,
        scale_x_y=draw(st.sampled_from([1.0, 1.05, 2.0])),
        activated=draw(st.booleans()),
        threshold=draw(st.sampled_from([0.0, 0.2])),
    )
    images, rows, columns = draw(BATCHES), draw(st.integers(1, 4)), draw(st.integers(1, 4))
    features = (images, boxes * (5 + classes), rows, columns)
    return make_case(layer, [features, (images, 3, rows * 8, columns * 8)], seed=draw(SEEDS))


DETECTION_CASES: dict[str, Callable[[], st.SearchStrategy[Case]]] = {
    "detectionoutput": detection_outputs,
    "priorbox": prior_boxes,
    "yoloboxes": yolo_boxes,
}
