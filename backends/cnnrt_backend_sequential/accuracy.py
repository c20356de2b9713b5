"""Accuracy: the share of images whose label is among the best classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import numpy as np

from cnnrt.backend import HostFunction, HostKernel, Packed
from cnnrt.errors import CnnrtError
from cnnrt.layer import Array
from cnnrt.layer_call import LayerCall
from cnnrt_backend_sequential.workspace import Scratch

if TYPE_CHECKING:
    from cnnrt_layers.accuracy import Accuracy


class CountHits(HostKernel):
    """Counts the classes with less than the label's score; the workspace marks them for one image."""

    layer = "Accuracy"
    backend = "sequential"
    name = "count"

    def workspace(self, call: LayerCall) -> int:
        """Return the bytes of one image's marks."""
        return _scratch(call).nbytes

    def bind(self, call: LayerCall) -> HostFunction:
        """Return the loop over images."""
        topk = cast("Accuracy", call.layer).topk
        images, classes = call.inputs[0].shape[:2]
        scratch = _scratch(call)

        def run(inputs: Sequence[Array], outputs: Sequence[Array], weights: Packed, workspace: Array) -> None:
            scores = inputs[0].reshape(images, classes)
            (marks,) = scratch.arrays(workspace)
            hits = 0
            for image, label in enumerate(weights["labels"].reshape(-1)):
                if not (0 <= label < classes and label == int(label)):
                    raise CnnrtError(
                        f"label {label:g} of image {image} is none of the classes 0 to {classes - 1}; "
                        f"labels are whole numbers counted from 0"
                    )
                # Caffe's rule: a class with the same score is better than the label's. So is what is not a number.
                np.less(scores[image], scores[image, int(label)], out=marks)
                hits += int(classes - np.count_nonzero(marks) - 1 < topk)
            outputs[0][...] = hits / images if images else 0

        return run


def _scratch(call: LayerCall) -> Scratch:
    scratch = Scratch()
    scratch.add((call.inputs[0].shape[1],), np.bool_)
    return scratch
