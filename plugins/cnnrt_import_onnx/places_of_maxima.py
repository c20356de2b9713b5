"""The second output of MaxPool: where the maxima are.

ONNX counts places through the whole batch, cnnrt's Pooling with `mask` those of each channel. To MaxUnpool they are
handed on as they are. As outputs of a model they are counted on from channel to channel and image to image, in a
network that is for one batch only; whatever else takes them is refused.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, MutableMapping

import numpy as np

from cnnrt.findings import Findings
from cnnrt_import_onnx.layer_list import LayerList
from cnnrt_import_onnx.tensors import Tensor, tensor_of
from cnnrt_import_onnx.values import Flow, Made
from netfile_spec.problems import quoted

_MOST_EXACT = 1 << 24
"""Integers up to which float32 holds every one."""


def settle_places(
    layers: LayerList, values: MutableMapping[str, Flow | Tensor], outputs: Iterable[str], findings: Findings
) -> None:
    """Count places that are outputs as ONNX does; add a problem where they are used otherwise than by MaxUnpool."""
    pools = {index for index, layer in enumerate(layers.layers) if layer.made.keys.get("mask")}
    for layer in list(layers.layers):
        for flow in layer.inputs:
            if flow.source in pools and flow.output == 1 and layer.made.type != "MaxUnpool":
                _refuse(layers, flow, findings)
    for name in outputs:
        value = values.get(name)
        if isinstance(value, Flow) and value.source in pools and value.output == 1 and not value.failed:
            counted = _counted(layers, value)
            if counted is None:
                _refuse(layers, value, findings)
            else:
                (values[name],) = layers.place(counted, f"the output {quoted(name)}", name, "MaxPool", [name])


def _counted(layers: LayerList, places: Flow) -> Made | None:
    """Return the places through the whole batch; None where it is open, or they would not be exact."""
    image = layers.layers[int(places.source)].inputs[0].shape
    if places.free or image is None or None in image:
        return None
    images, channels, rows, columns = (n or 0 for n in image)
    if math.prod((images, channels, rows, columns)) > _MOST_EXACT:
        return None
    before = np.arange(images * channels, dtype=np.float32) * np.float32(rows * columns)
    return Made("Eltwise", (places, tensor_of(before.reshape(images, channels, 1, 1))))


def _refuse(layers: LayerList, places: Flow, findings: Findings) -> None:
    pool = layers.layers[int(places.source)]
    named = pool.name or next((name for names in pool.values for name in names), "")
    expected = "places that MaxUnpool takes, or outputs of a model for one batch"
    findings.problem(f"the places of the maxima of {quoted(named)} are used", expected=expected)
