"""Which inputs of a model have to be constants of its network: weights, sizes, indices, and whatever is not float."""

from __future__ import annotations

from typing import Any

from cnnrt_import_onnx.inputs import FLOAT_TYPES
from cnnrt_import_onnx.model_text import text_of
from cnnrt_import_onnx.supported import CONSTANT_ONLY, RULES

_STOPS = frozenset({"Shape", "Size"})
"""Operators whose results are constants whatever flows in."""


def bound_inputs(model: Any) -> list[str]:
    """Return the names of the inputs of a ModelProto that are to be bound, in order."""
    needed: set[str] = set()
    for node in reversed(model.graph.node):
        names = [text_of(name) for name in node.input]
        op = text_of(node.op_type)
        if op in _STOPS:
            continue
        if op in CONSTANT_ONLY or op == "If" or any(text_of(name) in needed for name in node.output):
            needed.update(names)
        elif op in RULES:
            needed.update(names[place] for place in RULES[op].constants if place < len(names))
    constants = {text_of(tensor.name) for tensor in model.graph.initializer}
    return [
        name
        for value in model.graph.input
        if (name := text_of(value.name)) not in constants
        and (name in needed or value.type.tensor_type.elem_type not in FLOAT_TYPES)
    ]
