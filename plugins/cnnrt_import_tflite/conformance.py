"""The suite of the importer, for `cnnrt.testing`: models written table by table. Needs hypothesis."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from cnnrt.testing.importer_suite import ImporterSuite
from cnnrt_import_tflite.importer import TFLiteImporter
from cnnrt_import_tflite.schema import IDENTIFIER, OPERATORS

_NUMBERS = {name: number for number, name in OPERATORS.items()}
_KINDS = {"float32": 0, "float16": 1, "int32": 2, "uint8": 3, "int64": 4, "bool": 6, "int16": 7, "int8": 9}

Scalar = tuple[str, float]
"""A number in a table: struct's code for it, and the number."""


@attrs.frozen
class Numbers:
    """A vector of numbers in a table, each stored as struct's `code`."""

    code: str
    values: Sequence[float]


Field = Scalar | bytes | str | Numbers | list[Any] | dict[int, Any]


class Writer:
    """Writes a flatbuffer from the front to the back: each table before what it leads to."""

    def __init__(self, identifier: bytes) -> None:
        self.data = bytearray(4) + identifier

    def finish(self, root: Mapping[int, Field]) -> bytes:
        """Return the flatbuffer with this table as its root."""
        struct.pack_into("<I", self.data, 0, self._table(root))
        return bytes(self.data)

    def _align(self, size: int, behind: int = 0) -> None:
        self.data += bytes(-(len(self.data) + behind) % size)

    def _table(self, fields: Mapping[int, Field]) -> int:
        slots = 1 + max(fields, default=-1)
        self._align(8)
        vtable = len(self.data)
        size = 4 + 2 * slots
        self.data += bytes(size)
        self._align(8)
        table = len(self.data)
        self.data += struct.pack("<i", table - vtable)
        places: dict[int, int] = {}
        for number, value in fields.items():
            code, stored = value if isinstance(value, tuple) else ("I", 0)
            self._align(struct.calcsize(code))
            places[number] = len(self.data)
            self.data += struct.pack(f"<{code}", int(stored) if code not in "fd" else stored)
        struct.pack_into("<HH", self.data, vtable, size, len(self.data) - table)
        for number, place in places.items():
            struct.pack_into("<H", self.data, vtable + 4 + 2 * number, place - table)
            value = fields[number]
            if not isinstance(value, tuple):
                struct.pack_into("<I", self.data, place, self._pointed(value) - place)
        return table

    def _pointed(self, value: bytes | str | Numbers | list[Any] | dict[int, Any]) -> int:
        if isinstance(value, dict):
            return self._table(value)
        if isinstance(value, list):
            self._align(4)
            start = len(self.data)
            self.data += struct.pack("<I", len(value)) + bytes(4 * len(value))
            for number, table in enumerate(value):
                place = start + 4 + 4 * number
                struct.pack_into("<I", self.data, place, self._table(table) - place)
            return start
        if isinstance(value, Numbers):
            content, count = struct.pack(f"<{len(value.values)}{value.code}", *value.values), len(value.values)
        else:
            content = value.encode() if isinstance(value, str) else value
            count = len(content)
        self._align(16, behind=4)
        start = len(self.data)
        self.data += struct.pack("<I", count) + content + (b"\0" if isinstance(value, str) else b"")
        return start


@attrs.define
class ModelWriter:
    """Collects tensors and operators of a model, by name; tensors that are not constants have float32 values."""

    tensors: list[dict[int, Field]] = attrs.field(factory=list)
    buffers: list[dict[int, Field]] = attrs.field(factory=lambda: [{}])
    codes: list[str] = attrs.field(factory=list)
    operators: list[dict[int, Field]] = attrs.field(factory=list)
    numbers: dict[str, int] = attrs.field(factory=dict)

    def value(self, name: str, *shape: int, kind: str = "float32") -> str:
        """Add a tensor that is computed, or an input."""
        return self._add(name, shape, _KINDS[kind], {})

    def constant(
        self, name: str, values: NDArray[Any], scale: Sequence[float] = (), zero: Sequence[int] = (), axis: int = 0
    ) -> str:
        """Add a constant, quantised where it has a scale."""
        self.buffers.append({0: np.ascontiguousarray(values).tobytes()})
        more: dict[int, Field] = {2: ("I", len(self.buffers) - 1)}
        if len(scale):
            more[4] = {2: Numbers("f", scale), 3: Numbers("q", zero), 6: ("i", axis)}
        return self._add(name, values.shape, _KINDS[values.dtype.name], more)

    def _add(self, name: str, shape: Sequence[int], kind: int, more: dict[int, Field]) -> str:
        self.numbers[name] = len(self.tensors)
        self.tensors.append({0: Numbers("i", shape), 1: ("b", kind), 3: name, **more})
        return name

    def operator(self, op: str, inputs: Sequence[str], output: str, options: Mapping[int, Field] | None = None) -> str:
        """Add an operator; its output becomes a tensor if it is none yet."""
        if output not in self.numbers:
            self.value(output)
        if op not in self.codes:
            self.codes.append(op)
        named = Numbers("i", [self.numbers[i] if i else -1 for i in inputs])
        table: dict[int, Field] = {0: ("I", self.codes.index(op)), 1: named, 2: Numbers("i", [self.numbers[output]])}
        self.operators.append({**table, **({4: dict(options)} if options else {})})
        return output

    def model(self, inputs: Sequence[str], outputs: Sequence[str]) -> bytes:
        """Return the model's file."""
        ends = (Numbers("i", [self.numbers[name] for name in names]) for names in (inputs, outputs))
        graph: dict[int, Field] = {0: self.tensors, 1: next(ends), 2: next(ends), 3: self.operators}
        codes: list[Any] = []
        for op in self.codes:
            number = _NUMBERS.get(op, _NUMBERS["CUSTOM"])
            code: dict[int, Field] = {0: ("b", min(number, 127)), 3: ("i", number)}
            codes.append(code if op in _NUMBERS else {**code, 1: op})
        return Writer(IDENTIFIER).finish({0: ("I", 3), 1: codes, 2: [graph], 4: self.buffers})


class TFLiteSuite(ImporterSuite):
    """A classifier, and the same one with quantised weights."""

    importer = TFLiteImporter()

    def models(self, folder: Path) -> Sequence[Sequence[Path]]:
        """Write both."""
        files = [folder / "classifier.tflite", folder / "quantised.tflite"]
        for file, quantised in zip(files, (False, True), strict=True):
            file.write_bytes(classifier(quantised=quantised))
        return [[file] for file in files]


def classifier(*, quantised: bool) -> bytes:
    """Return a model: convolution, depthwise convolution, pooling, a product with a matrix, softmax."""
    random = np.random.default_rng(0)
    writer = ModelWriter()
    writer.value("image", 1, 9, 9, 3)

    def weight(name: str, *shape: int) -> str:
        if not quantised:
            return writer.constant(name, random.standard_normal(shape).astype(np.float32))
        return writer.constant(name, random.integers(-127, 127, shape, np.int8), [0.02], [3])

    bias = writer.constant("bias", random.standard_normal(4).astype(np.float32))
    same: dict[int, Field] = {0: ("b", 0), 1: ("i", 2), 2: ("i", 2), 3: ("b", 1)}
    writer.operator("CONV_2D", ["image", weight("kernels", 4, 3, 3, 3), bias], "conv", same)
    plain: dict[int, Field] = {0: ("b", 1), 1: ("i", 1), 2: ("i", 1), 3: ("i", 1), 4: ("b", 3)}
    writer.operator("DEPTHWISE_CONV_2D", ["conv", weight("own", 1, 3, 3, 4), bias], "depthwise", plain)
    pool: dict[int, Field] = {0: ("b", 1), 1: ("i", 1), 2: ("i", 1), 3: ("i", 2), 4: ("i", 2)}
    writer.operator("MAX_POOL_2D", ["depthwise"], "pool", pool)
    shape = writer.constant("shape", np.array([-1, 16], np.int32))
    writer.operator("RESHAPE", ["pool", shape], "flat")
    writer.operator("FULLY_CONNECTED", ["flat", weight("matrix", 5, 16), ""], "scores")
    writer.operator("SOFTMAX", ["scores"], "probabilities", {0: ("f", 1.0)})
    return writer.model(["image"], ["probabilities"])
