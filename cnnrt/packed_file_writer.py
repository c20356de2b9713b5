"""Writes packed files (`packed_file.py`): slice by slice, beside their place, and renamed.

No more than the slices of one call of `pack` are in memory, and a block of each array.
"""

from __future__ import annotations

import json
import os
import secrets
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from cnnrt.backend import Packed
from cnnrt.cached_file import UNFINISHED
from cnnrt.layer import Array
from cnnrt.mapped_file import HUGE_PAGE
from cnnrt.packed_file import MAGIC, PackedFileError, PackedForm, aligned


def write_packed(
    path: Path,
    key: str,
    slices: int,
    at_once: int,
    pack: Callable[[int, int], Packed],
    check: Callable[[], None],
) -> None:
    """Write the packed weights of all slices, `at_once` of them at a time; `pack(first, last)` gives them.

    `check` is called before the file is put in its place, and may raise whatever speaks against that.

    Raises PackedFileError where the system refuses or the kernel packs what is no array; nothing is left then.
    """
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}{UNFINISHED}")
    try:
        try:
            with beside.open("xb") as stream:
                beside.chmod(0o600)
                header = _write_slices(stream, slices, at_once, pack)
                text = json.dumps({"key": key, "slices": slices, **header}, separators=(",", ":")).encode()
                stream.seek(0, os.SEEK_END)
                stream.write(text + len(text).to_bytes(8, "little") + MAGIC)
            check()
            beside.replace(path)
        except BaseException:
            with suppress(OSError):
                beside.unlink()
            raise
    except OSError as error:
        raise PackedFileError(f"{path.parent}: {error.strerror or error}") from error


def _write_slices(stream: Any, slices: int, at_once: int, pack: Callable[[int, int], Packed]) -> dict[str, Any]:
    form: PackedForm | None = None
    described: list[dict[str, Any]] = []
    blocks: list[_Blocks] = []
    for first in range(0, slices, at_once):
        last = min(first + at_once, slices)
        found = PackedForm.of(pack(first, last))
        if found is None or (form is not None and form != found[0]):
            raise PackedFileError("the kernel packs weights that are no plain arrays")
        form, arrays = found
        if not described:
            described = _places(form, arrays, slices, last - first)
            blocks = [_Blocks(stream, entry["offset"]) for entry in described]
        for array, entry, block in zip(arrays, described, blocks, strict=True):
            _write_array(block, np.ascontiguousarray(array), entry, last - first)
    for block in blocks:
        block.flush()
    if form is None:
        raise PackedFileError("there are no slices")
    return {"container": form.container, "arrays": described}


def _places(form: PackedForm, arrays: list[Array], slices: int, packed: int) -> list[dict[str, Any]]:
    """Return the entries of the header, with room for all slices."""
    entries, at = [], 0
    for name, array in zip(form.names, arrays, strict=True):
        rows = -(-array.shape[0] // packed)
        entries.append(
            {
                "name": name,
                "dtype": array.dtype.str,
                "shape": [0, *array.shape[1:]],
                "rows": rows,
                "offset": at,
                "crcs": [],
            }
        )
        row_bytes = array.nbytes // array.shape[0] if array.shape[0] else 0
        at = aligned(at + slices * rows * row_bytes)
    return entries


def _write_array(blocks: _Blocks, array: Array, entry: dict[str, Any], slices: int) -> None:
    raw = array.reshape(-1).view(np.uint8)
    blocks.write(raw)
    size = entry["rows"] * (array.nbytes // array.shape[0] if array.shape[0] else 0)
    entry["shape"][0] += array.shape[0]
    entry["crcs"] += [zlib.crc32(raw[i * size : (i + 1) * size].data) for i in range(slices)]


class _Blocks:
    """The bytes of an array on their way into the file, in blocks as large as huge pages.

    What is written at a time decides in how large pages the system keeps a file, and so in how large ones it is mapped.
    """

    def __init__(self, stream: Any, at: int) -> None:
        self._stream = stream
        self._at = at
        self._held = bytearray()

    def write(self, raw: Array) -> None:
        """Take the next bytes of the array."""
        while raw.size:
            missing = HUGE_PAGE - (self._at + len(self._held)) % HUGE_PAGE
            self._held += raw[:missing].data
            if raw.size >= missing:
                self.flush()
            raw = raw[missing:]

    def flush(self) -> None:
        """Write what is held."""
        self._stream.seek(self._at)
        self._stream.write(self._held)
        self._at += len(self._held)
        self._held.clear()
