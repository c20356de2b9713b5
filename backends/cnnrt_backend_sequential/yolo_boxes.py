"""YoloBoxes, in place: values are moved into rows, and the rows become boxes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import numpy as np

from cnnrt.backend import Device, HostFunction, HostKernel, Packed
from cnnrt.layer import Array
from cnnrt.layer_call import LayerCall
from cnnrt_backend_sequential.cost_model import passes_seconds
from cnnrt_backend_sequential.workspace import Scratch

if TYPE_CHECKING:
    from cnnrt_layers.yolo_boxes import YoloBoxes

BOX = 5
"""Values of a row before the scores of classes."""


class BoxRows(HostKernel):
    """One pass over all values for each step of the formula.

    The workspace holds a truth value for each score: whether it is too low to count.
    """

    layer = "YoloBoxes"
    backend = "sequential"
    name = "boxes"

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return the passes over the values; an exponential counts as four."""
        return passes_seconds(call.outputs[0].nbytes // 4, 10, 8)

    def workspace(self, call: LayerCall) -> int:
        """Return the bytes of the truth values."""
        return _scratch(call).nbytes

    def bind(self, call: LayerCall) -> HostFunction:
        """Return the function on (image, row, column, anchor, value)."""
        layer = cast("YoloBoxes", call.layer)
        (images, _, rows, columns), (height, width) = call.inputs[0].shape, call.inputs[1].shape[2:]
        boxes, values = len(layer.anchors) // 2, BOX + layer.classes
        size = np.array([columns, rows])
        cells = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1)[:, :, np.newaxis]
        moved = ((cells - (layer.scale_x_y - 1) / 2) / size).astype(np.float32)
        scale = (layer.scale_x_y / size).astype(np.float32)
        anchors = (np.array(layer.anchors).reshape(-1, 2) / (width, height)).astype(np.float32)
        threshold = np.float32(layer.threshold)
        scratch = _scratch(call)

        def run(inputs: Sequence[Array], outputs: Sequence[Array], weights: Packed, workspace: Array) -> None:
            (low,) = scratch.arrays(workspace)
            apart = inputs[0].reshape(images, boxes, values, rows, columns)
            y = outputs[0].reshape(images, rows, columns, boxes, values)
            y[...] = apart.transpose(0, 3, 4, 1, 2)
            middle, sizes, objectness, scores = y[..., :2], y[..., 2:4], y[..., 4:BOX], y[..., BOX:]
            with np.errstate(over="ignore"):
                if layer.activated:
                    sizes *= np.float32(2)
                    np.square(sizes, out=sizes)
                else:
                    np.exp(sizes, out=sizes)
                    for part in (middle, y[..., 4:]):
                        np.negative(part, out=part)
                        np.exp(part, out=part)
                        part += np.float32(1)
                        np.reciprocal(part, out=part)
                sizes *= anchors
            middle *= scale
            middle += moved
            scores *= objectness
            np.greater(scores, threshold, out=low)
            np.logical_not(low, out=low)
            np.copyto(scores, np.float32(0), where=low)

        return run


def _scratch(call: LayerCall) -> Scratch:
    layer = cast("YoloBoxes", call.layer)
    images, _, rows, columns = call.inputs[0].shape
    scratch = Scratch()
    scratch.add((images, rows, columns, len(layer.anchors) // 2, layer.classes), np.bool_)
    return scratch
