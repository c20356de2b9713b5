"""The header of a .safetensors file, checked against the file before anything is believed.

Format: github.com/huggingface/safetensors, README. Eight bytes give the length of a JSON header, which begins
with "{" and maps each name to dtype, shape and data_offsets [begin, end), counted from the end of the header; the
tensors lie one behind the other without gaps. "__metadata__" holds texts.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from cnnrt.errors import ImportFailure, ParameterFileError, Problem
from cnnrt.findings import Findings
from cnnrt.layer import Array, shape_text
from cnnrt.loose_weights import LooseTensor
from cnnrt_import_pytorch import value_types
from cnnrt_import_pytorch.value_types import ValueType
from netfile_spec.parameters.regular_file import FileStamp, open_regular
from netfile_spec.problems import quoted

MOST_HEADER_BYTES = 4 << 20
"""A tensor takes about a hundred bytes of it; a network has some thousands of them at most."""

_MOST_DIMENSIONS = 32
_METADATA = "__metadata__"
_TYPES = {
    "F64": value_types.DOUBLE,
    "F32": value_types.FLOAT,
    "F16": value_types.HALF,
    "BF16": value_types.BFLOAT,
    "I64": value_types.LONG,
    "I32": value_types.INT,
    "I16": value_types.SHORT,
    "I8": value_types.CHAR,
    "U8": value_types.BYTE,
    "BOOL": value_types.BOOL,
}


def read_safetensors(path: Path) -> list[LooseTensor]:
    """Return the tensors of a file in the order in which they lie; ImportFailure with everything that is wrong."""
    try:
        with open_regular(path) as file:
            length = int.from_bytes(file.read(0, 8), "little")
            start = 8 + length
            if file.size < 8 or start > file.size or length > MOST_HEADER_BYTES:
                message = f"a header of {length:,} bytes in a file of {file.size:,}"
                expected = f"a safetensors file, whose header has at most {MOST_HEADER_BYTES:,} bytes"
                raise ImportFailure([Problem(message, expected=expected)], file=str(path))
            header, stamp = _header(file.read(8, length), path), file.stamp
    except ParameterFileError as error:
        raise ImportFailure([Problem(str(error).removeprefix(f"{path}: "))], file=str(path)) from None
    findings = Findings(str(path))
    found: list[tuple[int, int, LooseTensor]] = []
    for name, entry in header.items():
        if name != _METADATA and (checked := _checked(name, entry, findings)) is not None:
            kind, shape, begin, end = checked
            found.append((begin, end, LooseTensor(name, shape, _reader(path, stamp, kind, shape, start + begin))))
    found.sort(key=lambda item: item[:2])
    at = 0
    for begin, end, tensor in found:
        if begin != at and not findings.problems:
            what = "overlaps the one before" if begin < at else f"leaves a gap of {begin - at:,} bytes"
            findings.problem(f"tensor {quoted(tensor.name)} {what}", expected="tensors one behind the other")
        at = end
    if at != stamp.size - start and not findings.problems:
        findings.problem(f"{stamp.size - start:,} bytes of values", expected=f"{at:,}, as the header says")
    findings.raise_if_any()
    return [tensor for _, _, tensor in found]


def _header(data: bytes, path: Path) -> dict[str, Any]:
    try:
        if not data.startswith(b"{"):
            raise ValueError("it does not begin with '{'")
        header = json.loads(data, object_pairs_hook=_without_repetition, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        problem = Problem(f"its header is no JSON: {str(error)[:200]}", expected="a safetensors file")
        raise ImportFailure([problem], file=str(path)) from None
    assert isinstance(header, dict)  # it began with a brace
    return header


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name comes twice")
    return found


def _no_constant(text: str) -> float:
    raise ValueError(f"{text} is no number of JSON")


def _checked(name: str, entry: Any, findings: Findings) -> tuple[ValueType, tuple[int, ...], int, int] | None:
    """Return type, shape, begin and end of a tensor; what is wrong with it is a problem."""
    title = f"tensor {quoted(name)}"
    if not isinstance(entry, dict) or not {"dtype", "shape", "data_offsets"} <= set(entry):
        findings.problem(f"{title} is not described", expected="dtype, shape and data_offsets")
        return None
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    kind = _TYPES.get(dtype) if isinstance(dtype, str) else None
    if kind is None:
        shown = quoted(dtype) if isinstance(dtype, str) else "something else"
        findings.problem(f"{title} has values of the type {shown}", expected=", ".join(_TYPES))
        return None
    if not _are_counts(shape) or len(shape) > _MOST_DIMENSIONS or not _are_counts(offsets) or len(offsets) != 2:
        findings.problem(f"{title} has a shape or offsets that are no lists of sizes")
        return None
    begin, end = offsets
    if end - begin != math.prod(shape) * kind.nbytes:
        message = f"{title} of {shape_text(tuple(shape))} ({kind.name}) has {end - begin:,} bytes"
        findings.problem(message, expected=f"{math.prod(shape) * kind.nbytes:,}")
        return None
    return kind, tuple(shape), begin, end


def _are_counts(numbers: Any) -> bool:
    return isinstance(numbers, list) and all(type(n) is int and 0 <= n < 2**48 for n in numbers)


def _reader(path: Path, stamp: FileStamp, kind: ValueType, shape: tuple[int, ...], offset: int) -> Callable[[], Array]:
    def read() -> Array:
        values = np.empty(math.prod(shape), kind.stored)
        with open_regular(path, stamp) as file:
            file.read_into(offset, values.view(np.uint8))
        return kind.decoded(values).reshape(shape)

    return read
