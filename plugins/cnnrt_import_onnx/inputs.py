"""The inputs of a graph as input blocks: what is not a constant, with its shape as far as the model states it."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

import attrs

from cnnrt_import_onnx.findings import Findings
from cnnrt_import_onnx.model_text import text_of
from cnnrt_import_onnx.tensors import shape_words
from cnnrt_import_onnx.values import Item
from netfile_spec.problems import quoted

# TensorProto.DataType
_FLOAT = 1
_OTHER_FLOATS = {10: "FLOAT16", 11: "DOUBLE", 16: "BFLOAT16"}
_LARGEST = 2**31 - 1


@attrs.frozen
class GraphInput:
    """An input: its name, the batch that the model states (None: any), and the shape of one item, None: unknown."""

    name: str
    batch: int | None
    item: Item | None


def graph_inputs(graph: Any, constants: Container[str], needed: Container[str], findings: Findings) -> list[GraphInput]:
    """Return the inputs on which the outputs depend. Before IR version 4 constants are listed as inputs as well."""
    found: dict[str, GraphInput] = {}
    for value in graph.input:
        name = text_of(value.name)
        if name in constants:
            continue
        if name in found:
            findings.problem(f"the input {quoted(name)} is declared twice")
        elif name not in needed:
            findings.note(f"the input {quoted(name)} is left out: no output depends on it")
        else:
            found[name] = _input(name, value.type, findings)
    return list(found.values())


def _input(name: str, kind: Any, findings: Findings) -> GraphInput:
    if not kind.HasField("tensor_type"):
        findings.problem(f"the input {quoted(name)} is no tensor", expected="images, a tensor of float32")
        return GraphInput(name, None, None)
    tensor = kind.tensor_type
    if tensor.elem_type in _OTHER_FLOATS:
        findings.note(f"the input {quoted(name)} is of type {_OTHER_FLOATS[tensor.elem_type]}; here it is float32")
    elif tensor.elem_type != _FLOAT:
        findings.problem(f"the input {quoted(name)} does not hold floating-point numbers", expected="float32")
    if not tensor.HasField("shape"):
        _note_unknown(name, findings)
        return GraphInput(name, None, None)
    dims = tuple(_size(d) for d in tensor.shape.dim)
    if len(dims) < 2:
        expected = "a batch: (images, channels, rows, columns)"
        findings.problem(f"the input {quoted(name)} has the shape {shape_words(dims)}", expected=expected)
        return GraphInput(name, None, None)
    if None in dims[1:]:
        _note_unknown(name, findings)
    return GraphInput(name, dims[0], dims[1:])


def _size(dim: Any) -> int | None:
    # Exporters have written 0 and -1 for sizes that are open.
    value = dim.dim_value if dim.HasField("dim_value") else 0
    return value if 0 < value <= _LARGEST else None


def _note_unknown(name: str, findings: Findings) -> None:
    findings.note(
        f"the shape of the input {quoted(name)} is not fully stated: add shape: [channels, rows, columns] to its block "
        "in the NetFile"
    )
