"""Reads an HDF5 file from standard input and writes its arrays and texts to standard output: a program of its own.

HDF5 is read by a library in C, and files come from strangers: here it may crash, hang or ask for memory without end,
and nothing but this process is hurt. Nothing outside the file is opened: external links, external storage and virtual
data sets are left out, and no filter plugins are loaded.

The answer: the length of a JSON text (8 bytes, little-endian), that text, and the arrays as it says, aligned. The
text has `error`, or `attributes` (texts by group and name) and `datasets` (path, shape, dtype, offset).
"""

from __future__ import annotations

import json
import os
import struct
import sys
from typing import Any

MOST_OBJECTS = 100_000
DEEPEST = 20
MOST_TEXT = 64 << 20
ALIGNMENT = 64
_ALWAYS_ALLOWED = 64 << 20
_LARGEST_RATIO = 20
_MEMORY = 1 << 30
_SECONDS = 120


class Refused(Exception):
    """The file holds what is not read; the text says what."""


def limit(size: int) -> None:
    """Limit memory, processor time and what may be written, by the size of the file."""
    try:
        import resource
    except ImportError:  # not on Windows
        return
    memory = _MEMORY + 2 * _most_bytes(size)
    for kind, most in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, _SECONDS),
        (resource.RLIMIT_FSIZE, 2 * _most_bytes(size) + MOST_TEXT),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        resource.setrlimit(kind, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def _most_bytes(size: int) -> int:
    return max(_ALWAYS_ALLOWED, _LARGEST_RATIO * size)


class Listing:
    """What is found in a file: texts of groups, and data sets with their places in the answer."""

    def __init__(self, size: int) -> None:
        self.most = _most_bytes(size)
        self.objects = 0
        self.text = 0
        self.bytes = 0
        self.attributes: dict[str, dict[str, Any]] = {}
        self.datasets: list[dict[str, Any]] = []

    def add_group(self, group: Any, path: str, depth: int) -> None:
        """List a group and what is in it."""
        import h5py

        if depth > DEEPEST:
            raise Refused(f"groups in more than {DEEPEST} levels")
        self.attributes[path] = self._texts(group)
        for name in group:
            self.objects += 1
            if self.objects > MOST_OBJECTS:
                raise Refused(f"more than {MOST_OBJECTS:,} objects")
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                continue
            inner = f"{path}/{name}" if path else name
            if inner in ("optimizer", "optimizer_weights"):
                continue
            found = group[name]
            if isinstance(found, h5py.Group):
                self.add_group(found, inner, depth + 1)
            elif isinstance(found, h5py.Dataset):
                self._add_dataset(found, inner)

    def _add_dataset(self, dataset: Any, path: str) -> None:
        if dataset.dtype.kind not in "fiu" or dataset.is_virtual or dataset.external or dataset.shape is None:
            return
        self.bytes += -self.bytes % ALIGNMENT
        nbytes = int(dataset.dtype.itemsize)
        for n in dataset.shape:
            nbytes *= int(n)
        if self.bytes + nbytes > self.most:
            raise Refused(f"it would grow to more than {self.most:,} bytes")
        dtype = dataset.dtype.newbyteorder("<").str
        entry = {"path": path, "shape": [int(n) for n in dataset.shape], "dtype": dtype, "offset": self.bytes}
        self.datasets.append(entry)
        self.bytes += nbytes

    def _texts(self, group: Any) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name in group.attrs:
            stored = group.attrs.get_id(name)
            if stored.dtype.kind not in "SO" or stored.get_storage_size() > MOST_TEXT:
                continue
            value = group.attrs[name]
            texts = [_text(v) for v in value.reshape(-1)] if hasattr(value, "reshape") else _text(value)
            self.text += sum(map(len, texts))
            if self.text > MOST_TEXT:
                raise Refused(f"more than {MOST_TEXT:,} characters of text")
            found[name] = texts
        return found


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def answer(stream: Any, out: Any) -> None:
    """Read the file in a stream and write the answer."""
    import h5py
    import numpy as np

    with h5py.File(stream, "r") as file:
        listing = Listing(stream.seek(0, os.SEEK_END))
        listing.add_group(file, "", 0)
        listed = {"attributes": listing.attributes, "datasets": listing.datasets}
        text = json.dumps(listed, ensure_ascii=True).encode()
        text += b" " * (-(8 + len(text)) % ALIGNMENT)
        out.write(struct.pack("<Q", len(text)) + text)
        written = 0
        for entry in listing.datasets:
            out.write(bytes(entry["offset"] - written))
            values = np.ascontiguousarray(file[entry["path"]][()], entry["dtype"])
            out.write(values.reshape(-1).view(np.uint8).data)
            written = entry["offset"] + values.nbytes


def main() -> None:
    """Answer for the file that is standard input."""
    stream, out = sys.stdin.buffer, sys.stdout.buffer
    size = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    limit(size)
    try:
        answer(stream, out)
    except Exception as error:
        out.flush()
        out.seek(0)
        out.truncate()
        text = json.dumps({"error": f"{error}"[:500] or type(error).__name__}).encode()
        out.write(struct.pack("<Q", len(text)) + text)
    out.flush()


if __name__ == "__main__":
    main()
