"""The node Constant: a tensor, or numbers in attributes of their own."""

from __future__ import annotations

from typing import Any

import numpy as np

from cnnrt.findings import Findings
from cnnrt_import_onnx.nodes import OnnxNode
from cnnrt_import_onnx.tensors import Tensor, tensor_of

# Attributes that hold numbers: the field of the attribute, the type that they are of.
_NUMBERS: dict[str, tuple[str, Any]] = {
    "value_float": ("f", np.float32),
    "value_floats": ("floats", np.float32),
    "value_int": ("i", np.int64),
    "value_ints": ("ints", np.int64),
}


def constant_of(node: OnnxNode, findings: Findings) -> Any | Tensor | None:
    """Return what the node states: numbers as a constant, a tensor as the TensorProto that it is."""
    found = [(name, a) for name, a in node.attributes.items() if name in ("value", *_NUMBERS)]
    if len(found) != 1:
        expected = f"one of value, {', '.join(_NUMBERS)}"
        findings.problem(f"{node.title}: it does not state one tensor or numbers", expected=expected)
        return None
    ((name, attribute),) = found
    if name == "value":
        return attribute.t
    field, dtype = _NUMBERS[name]
    return tensor_of(np.array(getattr(attribute, field), dtype), next((o for o in node.outputs if o), ""))
