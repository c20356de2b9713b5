"""Dropout, which does nothing in inference."""

from __future__ import annotations

import numpy as np

from cnnrt.findings import Findings
from cnnrt_import_onnx.nodes import OnnxNode
from cnnrt_import_onnx.normalisation_rules import item_of
from cnnrt_import_onnx.operands import known_sizes, value_of
from cnnrt_import_onnx.tensors import Tensor, tensor_of
from cnnrt_import_onnx.values import Inputs, Made, Outcome, Same, Several


def dropout(node: OnnxNode, inputs: Inputs, findings: Findings) -> Outcome:
    """Dropout; since operator set 12 ratio and training_mode are inputs. Its mask is true all over."""
    value = value_of(node, inputs[0], findings)
    ratio, training = inputs[1], inputs[2]
    keeps_all = isinstance(ratio, Tensor) and ratio.count == 1 and not ratio.array().any()
    if node.opset < 7:
        keeps_all = keeps_all or bool(node.integer("is_test", 0, findings))
        training = None if keeps_all else value
    stays = training is None or (isinstance(training, Tensor) and not training.array().any()) or keeps_all
    if not stays:
        findings.problem(f"{node.title}: training_mode is set", hint="export the model in inference mode (eval)")
        return None
    if value is None:
        return None
    made = Made("Dropout", (value,), item=item_of(value))
    if len(node.outputs) < 2 or not node.outputs[1]:
        return made
    sizes = known_sizes(node, value, findings)
    if value.free or sizes is None:
        findings.problem(f"{node.title}: its mask is used, which depends on the number of images")
        return None
    mask = tensor_of(np.broadcast_to(np.bool_(True), sizes), node.outputs[1])
    return Several((made if node.outputs[0] else None, Same(mask)))
