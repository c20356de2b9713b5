"""Layers of detectors, in ONNX's arithmetic."""

from __future__ import annotations

import numpy as np

from cnnrt_export_onnx.model_builder import LayerWriter


def yolo_boxes(out: LayerWriter) -> None:
    """Write what decodes the boxes, for features and an image of the sizes that the network states."""
    layer, (features, _) = out.layer, out.inputs
    images, channels, rows, columns = out.flexible(features)
    height, width = out.shape(1)[2:]
    boxes = len(layer.anchors) // 2
    values = channels // boxes
    apart = out.reshaped(features, (images, boxes, values, rows, columns), "apart")
    t = out.step("Transpose", [apart], perm=[0, 3, 4, 1, 2])
    likely = t if layer.activated else out.step("Sigmoid", [t])

    def part(value: str, start: int, end: int) -> str:
        return out.step("Slice", [value, *(out.constant("place", [place]) for place in (start, end, -1))])

    cells = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1)[:, :, np.newaxis]
    size, image = np.array([columns, rows], np.float64), np.array([width, height], np.float64)
    scale = out.constant("scale", (layer.scale_x_y / size).astype(np.float32))
    cell = out.constant("cell", ((cells - (layer.scale_x_y - 1) / 2) / size).astype(np.float32))
    middle = out.step("Add", [out.step("Mul", [part(likely, 0, 2), scale]), cell])
    anchors = out.constant("anchors", (np.array(layer.anchors).reshape(-1, 2) / image).astype(np.float32))
    raw = part(t, 2, 4)
    grown = out.step("Exp", [raw])
    if layer.activated:
        doubled = out.step("Mul", [raw, out.number("two", 2)])
        grown = out.step("Mul", [doubled, doubled])
    sizes = out.step("Mul", [grown, anchors])
    objectness = part(likely, 4, 5)
    parts = [middle, sizes, objectness]
    if layer.classes:
        scores = out.step("Mul", [objectness, part(likely, 5, values)])
        above = out.step("Greater", [scores, out.number("threshold", layer.threshold)])
        parts.append(out.step("Where", [above, scores, out.number("nothing", 0)]))
    joined = out.step("Concat", parts, axis=-1)
    out.last("Reshape", [joined, out.constant("rows", [images, rows * columns * boxes, values])])
