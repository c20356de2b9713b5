"""Detectors' layers once more: box by box, as their original loops go."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cnnrt.layer import Array

Weights = Mapping[str, Array]
Box = Sequence[float]


def prior_box(layer: Any, inputs: Sequence[Array], weights: Weights) -> Array:
    features, image = inputs
    rows, columns = features.shape[2:]
    width, height = layer.img_w or image.shape[3], layer.img_h or image.shape[2]
    step_w = layer.step_w or layer.step or width / columns
    step_h = layer.step_h or layer.step or height / rows
    ratios = [1.0]
    for ratio in layer.aspect_ratio:
        if not any(math.isclose(ratio, known, abs_tol=1e-6) for known in ratios):
            ratios.append(ratio)
            if layer.flip:
                ratios.append(1 / ratio)
    found: list[float] = []
    for i, j in itertools.product(range(rows), range(columns)):
        x, y = (j + layer.offset) * step_w, (i + layer.offset) * step_h
        for number, least in enumerate(layer.min_size):
            sizes = [(least, least)]
            if layer.max_size:
                sizes.append((math.sqrt(least * layer.max_size[number]),) * 2)
            sizes += [(least * math.sqrt(r), least / math.sqrt(r)) for r in ratios[1:]]
            for w, h in sizes:
                found += [(x - w / 2) / width, (y - h / 2) / height, (x + w / 2) / width, (y + h / 2) / height]
    if layer.clip:
        found = [min(max(v, 0.0), 1.0) for v in found]
    variances = layer.variance * 4 if len(layer.variance) == 1 else layer.variance
    return np.array([[found, list(variances) * (len(found) // 4)]])


def detection_output(layer: Any, inputs: Sequence[Array], weights: Weights) -> Array:
    locations, scores, priors = inputs
    boxes = priors.shape[2] // 4
    objects = [c for c in range(layer.num_classes) if c != layer.background_label_id]
    each = boxes if layer.top_k == -1 else min(layer.top_k, boxes)
    most = each * len(objects) if layer.keep_top_k == -1 else min(layer.keep_top_k, each * len(objects))
    result = np.full((len(locations), most, 7), -1.0)
    for n in range(len(locations)):
        located = locations[n].reshape(boxes, -1, 4)
        by_class = scores[n].reshape(boxes, layer.num_classes)
        found: list[tuple[int, float, Box]] = []
        for label in objects:
            decoded = [
                _decode(layer, located[b, 0 if layer.share_location else label], *priors[0].reshape(2, boxes, 4)[:, b])
                for b in range(boxes)
            ]
            found += [(label, by_class[b, label], decoded[b]) for b in _kept(layer, decoded, by_class[:, label])]
        if layer.keep_top_k != -1 and len(found) > layer.keep_top_k:
            best = sorted(range(len(found)), key=lambda place: -found[place][1])[: layer.keep_top_k]
            found = [found[place] for place in sorted(best)]
        for row, (label, score, box) in enumerate(found):
            result[n, row] = [n, label, score, *box]
    return result


def _decode(layer: Any, location: Box, prior: Box, variance: Box) -> Box:
    if layer.variance_encoded_in_target:
        variance = [1.0] * 4
    shift = [v * d for v, d in zip(variance, location, strict=True)]
    width, height = prior[2] - prior[0], prior[3] - prior[1]
    match layer.code_type:
        case "corner":
            return [p + s for p, s in zip(prior, shift, strict=True)]
        case "corner_size":
            return [p + s * size for p, s, size in zip(prior, shift, [width, height] * 2, strict=True)]
        case _:
            x = shift[0] * width + (prior[0] + prior[2]) / 2
            y = shift[1] * height + (prior[1] + prior[3]) / 2
            w, h = math.exp(shift[2]) * width, math.exp(shift[3]) * height
            return [x - w / 2, y - h / 2, x + w / 2, y + h / 2]


def _kept(layer: Any, boxes: Sequence[Box], scores: Array) -> list[int]:
    least = -math.inf if layer.confidence_threshold is None else layer.confidence_threshold
    able = sorted((b for b in range(len(boxes)) if scores[b] > least), key=lambda b: -scores[b])
    threshold, kept = layer.nms_threshold, []
    for b in able if layer.top_k == -1 else able[: layer.top_k]:
        if all(_overlap(boxes[b], boxes[other]) <= threshold for other in kept):
            kept.append(b)
            if layer.eta < 1 and threshold > 0.5:
                threshold *= layer.eta
    return kept


def _overlap(a: Box, b: Box) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = [max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1]) for box in (a, b)]
    return width * height / (sum(areas) - width * height)


def yolo_boxes(layer: Any, inputs: Sequence[Array], weights: Weights) -> Array:
    """Go through cells, then anchors, as Darknet's get_yolo_detections does."""
    features, image = inputs
    images, channels, rows, columns = features.shape
    boxes = len(layer.anchors) // 2
    values = channels // boxes
    result = []
    for n, i, j, a in itertools.product(range(images), range(rows), range(columns), range(boxes)):
        t = [float(features[n, a * values + v, i, j]) for v in range(values)]
        sure = t if layer.activated else [1 / (1 + math.exp(-v)) for v in t]
        x, y = (layer.scale_x_y * v - 0.5 * (layer.scale_x_y - 1) for v in sure[:2])
        w, h = ((2 * v) ** 2 if layer.activated else math.exp(v) for v in t[2:4])
        width, height = layer.anchors[2 * a : 2 * a + 2]
        box = [(j + x) / columns, (i + y) / rows, w * width / image.shape[3], h * height / image.shape[2]]
        scores = [sure[4] * probability for probability in sure[5:]]
        result.append([*box, sure[4], *(score if score > layer.threshold else 0.0 for score in scores)])
    return np.array(result).reshape(images, rows * columns * boxes, values)


DETECTION = {"detectionoutput": detection_output, "priorbox": prior_box, "yoloboxes": yolo_boxes}
