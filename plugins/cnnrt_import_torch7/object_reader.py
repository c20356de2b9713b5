"""From an encoding to objects: tables, classes, tensors; functions are skipped, never run.

Format: torch7, File.lua (`readObject`), and `read` of tensors and storages (generic/Tensor.c, generic/Storage.c). An
object that was written before is a reference to its index. Files may nest as they like, so this is a loop with a stack
of its own.
"""

from __future__ import annotations

import mmap
import re
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from cnnrt.errors import ImportFailure, Problem
from cnnrt_import_torch7.objects import Fault, Storage, Table, Tensor, TorchObject
from cnnrt_import_torch7.streams import Ascii, Binary, Stream

LARGEST_FILE = 8 << 30
MOST_OBJECTS = 500_000
_MOST_DIMENSIONS = 32
_NIL, _NUMBER, _STRING, _TABLE, _TORCH, _BOOLEAN = range(6)
_FUNCTION, _LEGACY_RECURSIVE, _RECURSIVE = 6, 7, 8
_VERSION = re.compile(rb"V [0-9]{1,9}")
_CLASS = re.compile(r"torch\.(Cuda)?(\w*?)(Tensor|Storage)")
_DTYPES = {
    "Double": "<f8",
    "Float": "<f4",
    "Half": "<f2",
    "Long": "<i8",
    "Int": "<i4",
    "Short": "<i2",
    "Char": "|i1",
    "Byte": "|u1",
}


def read_file(path: Path) -> Any:
    """Return the first object of a file, binary or ASCII; raises ImportFailure where there is none."""
    try:
        if not path.is_file():
            raise ImportFailure([Problem("is no file")], file=str(path))
        if path.stat().st_size > LARGEST_FILE:
            raise ImportFailure([Problem("is too large", expected="8 GiB at most")], file=str(path))
        with path.open("rb") as file:
            empty = not path.stat().st_size
            data = b"" if empty else mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        raise ImportFailure([Problem(f"cannot be read: {error}")], file=str(path)) from error
    streams: list[Stream] = [Ascii(data)] if looks_like_ascii(data) else [Binary(data), Binary(data, 4)]
    first: Fault | None = None
    for stream in streams:
        try:
            return _Reader(stream).read()
        except Fault as fault:
            first = first or Fault(f"cannot be read as a file of Torch7, at byte {stream.at:,}: {fault}")
    raise ImportFailure([Problem(str(first))], file=str(path))


def looks_like_ascii(data: bytes | mmap.mmap) -> bool:
    """Tell whether a file begins with a type in ASCII, "4\\n" for an object."""
    return re.match(rb"[0-8]\n[0-9]", data) is not None


@attrs.define(eq=False)
class _Frame:
    """Something whose parts are still to be read: a table, or what waits for one more object."""

    target: Any
    left: int
    key: Any = None
    has_key: bool = False


class _Reader:
    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.known: dict[int, Any] = {}
        self.frames: list[_Frame] = []
        self.count = 0

    def read(self) -> Any:
        while True:
            done, value = self._one()
            while done:
                if not self.frames:
                    return value
                done, value = self._deliver(value)

    def _deliver(self, value: Any) -> tuple[bool, Any]:
        """Give a value to what waits for it; tell whether that is complete then, and what it is."""
        frame = self.frames[-1]
        target = frame.target
        if isinstance(target, Table):
            if not frame.has_key:
                frame.key, frame.has_key = value, True
                return False, None
            if frame.key is not None:
                target.set(frame.key, value)
            frame.has_key = False
        elif isinstance(target, Tensor):
            if value is not None and not isinstance(value, Storage):
                raise Fault("a tensor without a storage")
            target.storage = value
            target.check()
        elif isinstance(target, TorchObject):
            # Old classes write other things than a table of their fields; what these are, only the class knew.
            target.fields = value if isinstance(value, Table) else Table({"value": value})
        frame.left -= 1
        if frame.left:
            return False, None
        self.frames.pop()
        return True, target

    def _one(self) -> tuple[bool, Any]:
        """Read the beginning of an object; tell whether it is complete, and what it is."""
        self.count += 1
        if self.count > MOST_OBJECTS:
            raise Fault(f"more than {MOST_OBJECTS:,} objects")
        stream = self.stream
        kind = stream.integer()
        if kind == _NIL:
            return True, None
        if kind == _NUMBER:
            return True, stream.double()
        if kind == _BOOLEAN:
            return True, stream.integer() == 1
        if kind == _STRING:
            return True, stream.text().decode("utf-8", "replace")
        if kind == _FUNCTION:
            stream.text()
            return self._wait("function", 1)
        if kind not in (_TABLE, _TORCH, _LEGACY_RECURSIVE, _RECURSIVE):
            raise Fault(f"an object of the unknown type {kind}")
        index = stream.integer()
        if index in self.known:
            return True, self.known[index]
        if kind == _TABLE:
            return self._table(index)
        if kind == _TORCH:
            return self._torch(index)
        stream.text()  # the code of a function, which nobody runs; its upvalues follow
        self.known[index] = "function"
        return self._wait("function", 1)

    def _wait(self, target: Any, count: int) -> tuple[bool, Any]:
        if not count:
            return True, target
        self.frames.append(_Frame(target, count))
        return False, None

    def _table(self, index: int) -> tuple[bool, Any]:
        size = self.stream.integer()
        if not 0 <= size <= MOST_OBJECTS:
            raise Fault(f"a table of {size:,} entries")
        self.known[index] = table = Table()
        return self._wait(table, size)

    def _torch(self, index: int) -> tuple[bool, Any]:
        name = self.stream.text()
        if _VERSION.fullmatch(name):
            name = self.stream.text()
        type = name.decode("utf-8", "replace")
        if len(type) > 200 or not type.isprintable():
            raise Fault("an object of a class without a name")
        match = _CLASS.fullmatch(type)
        if match is None:
            self.known[index] = found = TorchObject(type)
            return self._wait(found, 1)
        dtype = _DTYPES.get(match[2] or ("Float" if match[1] else ""))
        if dtype is None:
            raise Fault(f"a {type}, whose numbers are of an unknown type")
        if match[3] == "Storage":
            self.known[index] = storage = self.stream.storage(np.dtype(dtype))
            return True, storage
        self.known[index] = tensor = self._tensor()
        return self._wait(tensor, 1)

    def _tensor(self) -> Tensor:
        dimensions = self.stream.integer()
        if not 0 <= dimensions <= _MOST_DIMENSIONS:
            raise Fault(f"a tensor of {dimensions:,} dimensions")
        shape = tuple(self.stream.long() for _ in range(dimensions))
        strides = tuple(self.stream.long() for _ in range(dimensions))
        if any(not 0 <= n < 1 << 48 for n in shape):
            raise Fault("a tensor of a size that is none")
        return Tensor(shape, strides, self.stream.long() - 1)
