"""The inputs of a graph as input blocks: what is not a constant, with its shape as far as the model states it."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Any

import attrs

from cnnrt.findings import Findings
from cnnrt_import_onnx.model_text import text_of
from cnnrt_import_onnx.tensors import Sizes, shape_words
from netfile_spec.problems import quoted

# TensorProto.DataType
_FLOAT = 1
_OTHER_FLOATS = {10: "FLOAT16", 11: "DOUBLE", 16: "BFLOAT16"}
FLOAT_TYPES = frozenset({_FLOAT, *_OTHER_FLOATS})
"""TensorProto's numbers of the types that inputs may have."""

_LARGEST = 2**31 - 1
_MOST_DIMENSIONS = 8


@attrs.frozen
class GraphInput:
    """An input: its name and its shape as the model states it; None: unknown, as single sizes may be."""

    name: str
    shape: Sizes | None

    @property
    def batch(self) -> int | None:
        """The number of images that the model states; None: any."""
        return self.shape[0] if self.shape else None

    @property
    def item(self) -> Sizes | None:
        """The shape of one image."""
        return self.shape[1:] if self.shape is not None else None


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


def fixed(inputs: Sequence[GraphInput]) -> list[GraphInput] | None:
    """Return the inputs with all sizes known, those of one image where the batch is open; None where others are."""
    result = []
    for given in inputs:
        if given.shape is None or None in given.shape[1:]:
            return None
        result.append(attrs.evolve(given, shape=tuple(n or 1 for n in given.shape)))
    return result


def _input(name: str, kind: Any, findings: Findings) -> GraphInput:
    if not kind.HasField("tensor_type"):
        findings.problem(f"the input {quoted(name)} is no tensor", expected="images, a tensor of float32")
        return GraphInput(name, None)
    tensor = kind.tensor_type
    if tensor.elem_type in _OTHER_FLOATS:
        findings.note(f"the input {quoted(name)} is of type {_OTHER_FLOATS[tensor.elem_type]}; here it is float32")
    elif tensor.elem_type != _FLOAT:
        findings.problem(f"the input {quoted(name)} does not hold floating-point numbers", expected="float32")
    if not tensor.HasField("shape"):
        _note_unknown(name, findings)
        return GraphInput(name, None)
    dims = tuple(_size(d) for d in tensor.shape.dim)
    if len(dims) > _MOST_DIMENSIONS:
        findings.problem(f"the input {quoted(name)} has {len(dims)} dimensions", expected=f"at most {_MOST_DIMENSIONS}")
        return GraphInput(name, None)
    if None in dims[1:]:
        _note_unknown(name, findings)
    return GraphInput(name, dims)


def _size(dim: Any) -> int | None:
    # Exporters have written 0 and -1 for sizes that are open.
    value = dim.dim_value if dim.HasField("dim_value") else 0
    return value if 0 < value <= _LARGEST else None


def _note_unknown(name: str, findings: Findings) -> None:
    findings.note(
        f"the shape of the input {quoted(name)} is not fully stated: add shape: [channels, rows, columns] to its block "
        "in the NetFile"
    )


def no_batch(given: GraphInput) -> str:
    """Return what is wrong with an input that has no dimension beside the batch."""
    return f"the input {quoted(given.name)} has the shape {shape_words(given.shape or ())}"
