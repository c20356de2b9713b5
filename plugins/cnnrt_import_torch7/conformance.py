"""The suite of the importer, for `cnnrt.testing`: small models in both encodings, and what writes them."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from cnnrt.layer import Array
from cnnrt.testing.importer_suite import ImporterSuite
from cnnrt_import_torch7.importer import Torch7Importer

_NAMES = {"f8": "Double", "f4": "Float", "f2": "Half"}
_NAMES |= {"i8": "Long", "i4": "Int", "i2": "Short", "i1": "Char", "u1": "Byte"}


@attrs.define(eq=False)
class Written:
    """An object of a class to be written, with its fields; functions of Lua are of class "function"."""

    type: str
    fields: dict[Any, Any]


@attrs.frozen(eq=False)
class Identity:
    """A table as a key of another one, to be written."""

    table: dict[Any, Any]


@attrs.frozen(eq=False)
class Longs:
    """A torch.LongStorage to be written."""

    values: tuple[int, ...]


def nn(kind: str, *modules: Any, **fields: Any) -> Written:
    """Return a module to be written: nn's, or that of another package ("cudnn.ReLU"); `modules` are what it holds."""
    if modules:
        fields["modules"] = list(modules)
    return Written(kind if "." in kind else f"nn.{kind}", fields)


class Torch7Suite(ImporterSuite):
    """A chain in binary, a network of branches in ASCII, and a chain with what normalises its images."""

    importer = Torch7Importer()

    def models(self, folder: Path) -> Sequence[Sequence[Path]]:
        """Write them."""
        chain, branches, table = folder / "chain.t7", folder / "branches.t7", folder / "table.t7"
        chain.write_bytes(binary(chain_of_modules()))
        branches.write_bytes(ascii_text(branches_of_modules()))
        table.write_bytes(binary({"mean": _values(2), "std": np.ones(2, np.float32)}))
        return [[chain], [branches], [chain, table]]


def chain_of_modules() -> Written:
    """Return a convolution, pooling and two linear layers."""
    conv = nn("SpatialConvolution", nInputPlane=2, nOutputPlane=3, kW=3, kH=3, dW=1, dH=1, padW=1, padH=1)
    conv.fields |= {"weight": _values(3, 2, 3, 3), "bias": _values(3), "gradWeight": _values(3, 2, 3, 3)}
    pool = nn("SpatialMaxPooling", kW=2, kH=2, dW=2, dH=2, padW=0, padH=0, ceil_mode=True)
    return nn(
        "Sequential",
        conv,
        nn("ReLU", threshold=0.0, val=0.0, inplace=True, name="relu1"),
        pool,
        nn("View", size=Longs((27,)), numElements=27),
        nn("Dropout", p=0.5, v2=True),
        nn("Linear", weight=_values(4, 27), bias=_values(4)),
        nn("LogSoftMax", hook=Written("function", {"upvalue": 1.0})),
    )


def branches_of_modules() -> Written:
    """Return branches that are added, joined and normalised."""
    pointwise = nn("SpatialConvolutionMM", nInputPlane=2, nOutputPlane=2, kW=1, kH=1, dW=1, dH=1, padding=0)
    pointwise.fields |= {"weight": _values(2, 2), "bias": _values(2)}
    table = nn("ConcatTable", nn("Identity"), pointwise)
    norm = nn("SpatialBatchNormalization", running_mean=_values(4), running_var=_values(4) ** 2, eps=1e-3, affine=False)
    both = nn("Concat", nn("Sequential", table, nn("CAddTable")), nn("SpatialAveragePooling", kW=1, kH=1), dimension=2)
    return nn("Sequential", both, norm, nn("Threshold", threshold=0.1, val=-1.0))


def _values(*shape: int) -> Array:
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(np.float32)


def binary(value: Any, *, long_size: int = 8) -> bytes:
    """Return a value as torch.save writes it in binary: numbers, text, arrays, lists, dictionaries, `Written`."""
    writer = _Binary(long_size)
    writer.object(value)
    return b"".join(writer.parts)


def ascii_text(value: Any) -> bytes:
    """Return a value as torch.save writes it in ASCII."""
    writer = _Ascii()
    writer.object(value)
    return b"".join(writer.parts)


class _Writer:
    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.indices: dict[int, int] = {}
        self.kept: list[Any] = []

    def integer(self, number: int) -> None:
        raise NotImplementedError

    def long(self, *numbers: int) -> None:
        raise NotImplementedError

    def double(self, number: float) -> None:
        raise NotImplementedError

    def text(self, content: bytes) -> None:
        raise NotImplementedError

    def numbers(self, values: Array) -> None:
        raise NotImplementedError

    def object(self, value: Any) -> None:
        if value is None:
            self.integer(0)
        elif isinstance(value, bool):
            self.integer(5)
            self.integer(int(value))
        elif isinstance(value, int | float):
            self.integer(1)
            self.double(value)
        elif isinstance(value, str):
            self.integer(2)
            self.text(value.encode())
        elif isinstance(value, list):
            self.table(value, dict(enumerate(value, start=1)))
        elif isinstance(value, dict):
            self.table(value, value)
        elif isinstance(value, Written) and value.type == "function":
            if self.first(8, value):
                self.text(b"\x1bLJ")
                self.object(value.fields)
        elif isinstance(value, Written):
            if self.torch(value, value.type):
                self.object(value.fields)
        elif isinstance(value, Longs):
            if self.torch(value, "torch.LongStorage"):
                self.numbers(np.array(value.values, np.int64))
        else:
            self.tensor(value)

    def first(self, kind: int, value: Any) -> bool:
        """Write the type and the index; tell whether the object was not written before."""
        self.integer(kind)
        known = self.indices.get(id(value))
        self.kept.append(value)
        self.integer(self.indices.setdefault(id(value), len(self.indices) + 1))
        return known is None

    def torch(self, value: Any, type: str) -> bool:
        new = self.first(4, value)
        if new:
            self.text(b"V 1")
            self.text(type.encode())
        return new

    def table(self, value: Any, entries: Mapping[Any, Any]) -> None:
        if self.first(3, value):
            self.integer(len(entries))
            for key, item in entries.items():
                self.object(key.table if isinstance(key, Identity) else key)
                self.object(item)

    def tensor(self, array: Array) -> None:
        kind = _NAMES[array.dtype.str[1:]]
        if not self.torch(array, f"torch.{kind}Tensor"):
            return
        self.integer(array.ndim)
        whole = array if array.base is None or not isinstance(array.base, np.ndarray) else array.base
        offset = (array.__array_interface__["data"][0] - whole.__array_interface__["data"][0]) // array.itemsize
        self.long(*array.shape)
        self.long(*(s // array.itemsize for s in array.strides))
        self.long(offset + 1)
        storage = Written(f"torch.{kind}Storage", {})
        self.torch(storage, storage.type)
        self.numbers(whole.reshape(-1))


class _Binary(_Writer):
    def __init__(self, long_size: int) -> None:
        super().__init__()
        self.long_size = long_size

    def integer(self, number: int) -> None:
        self.parts.append(struct.pack("<i", number))

    def long(self, *numbers: int) -> None:
        self.parts += [struct.pack("<q" if self.long_size == 8 else "<i", number) for number in numbers]

    def double(self, number: float) -> None:
        self.parts.append(struct.pack("<d", number))

    def text(self, content: bytes) -> None:
        self.integer(len(content))
        self.parts.append(content)

    def numbers(self, values: Array) -> None:
        self.long(values.size)
        if values.dtype == np.int64 and self.long_size == 4:
            values = values.astype(np.int32)
        self.parts.append(values.tobytes())


class _Ascii(_Writer):
    def integer(self, number: int) -> None:
        self.parts.append(b"%d\n" % number)

    def long(self, *numbers: int) -> None:
        self.parts.append(b" ".join(b"%d" % number for number in numbers) + b"\n")

    def double(self, number: float) -> None:
        self.parts.append(b"%.17g\n" % number)

    def text(self, content: bytes) -> None:
        self.parts.append(b"%d\n%b\n" % (len(content), content))

    def numbers(self, values: Array) -> None:
        self.integer(values.size)
        if values.dtype.itemsize == 1:
            self.parts.append(values.tobytes() + b"\n")
        else:
            self.parts.append(b" ".join(b"%.17g" % float(number) for number in values) + b"\n")
