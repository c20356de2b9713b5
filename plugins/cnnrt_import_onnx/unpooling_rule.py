"""MaxUnpool: values go back to the places that a MaxPool took them from.

What a MaxPool of the same network gives is handed on as it is (see places_of_maxima.py); constants are taken apart.
"""

from __future__ import annotations

import numpy as np

from cnnrt.findings import Findings
from cnnrt_import_onnx.nodes import OnnxNode
from cnnrt_import_onnx.operands import integers_in, known_shape, known_sizes, value_of
from cnnrt_import_onnx.tensors import INTEGERS, Tensor, shape_words, tensor_of
from cnnrt_import_onnx.values import Inputs, Made
from cnnrt_import_onnx.window_pads import plan_windows, shortest_pair
from netfile_spec import Value as KeyValue


def max_unpooling(node: OnnxNode, inputs: Inputs, findings: Findings) -> Made | None:
    """MaxUnpool of images."""
    value, places = value_of(node, inputs[0], findings), value_of(node, inputs[1], findings)
    shape = None if value is None else known_shape(node, value, findings)
    if value is None or places is None or shape is None:
        return None
    kernel = node.integers("kernel_shape", (), findings, least=1, count=None)
    if len(kernel) != 2 or len(shape) != 4:
        findings.problem(f"{node.title}: {list(kernel)} on {shape_words(shape)}", expected="windows of images")
        return None
    plan = plan_windows(node, kernel, value, findings)
    keys: dict[str, KeyValue] = {"kernel_size": shortest_pair(kernel), "stride": shortest_pair(plan.stride)}
    if any(plan.pad):
        keys["pad"] = plan.pad
    wanted = None
    if inputs[2] is not None:
        wanted = integers_in(node, inputs[2], "the sizes", findings)
        if wanted is None:
            return None
        if len(wanted) != 4 or min(wanted) < 1:
            findings.problem(f"{node.title}: sizes {list(wanted)[:8]}", expected="4 sizes")
            return None
    if isinstance(places, Tensor):
        sizes = known_sizes(node, value, findings)
        if sizes is None or places.kind not in INTEGERS:
            return None
        rows, columns = (
            (n - 1) * step + k - before - after
            for n, step, k, before, after in zip(
                sizes[-2:], plan.stride, kernel, plan.pad[:2], plan.pad[2:], strict=True
            )
        )
        if rows < 1 or columns < 1:
            findings.problem(f"{node.title}: nothing of {rows}×{columns} is left")
            return None
        inside = places.array() % (rows * columns)
        width = wanted[3] if wanted else columns
        places = tensor_of((inside // columns * width + inside % columns).astype(np.int64), places.name)
    if wanted:
        keys = {"size": shortest_pair(wanted[2:])}
    return Made("MaxUnpool", (value, places), keys)
