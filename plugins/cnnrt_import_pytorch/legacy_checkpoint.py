"""The form of checkpoints of PyTorch 0.1.11 to 1.5: five pickles one behind the other, then the storages.

Format: `torch.serialization._legacy_load`. The pickles are a magic number, the version 1001, facts on the machine, what
was saved, and the keys of the storages; each storage is its number of values, 64 bits, and the values.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs

from cnnrt.errors import ImportFailure, ParameterFileError, Problem
from cnnrt.pickles import PickleFault
from cnnrt_import_pytorch.stored_tensor import Storage
from cnnrt_import_pytorch.torch_globals import read_torch_pickle, storage_type
from netfile_spec.parameters.regular_file import open_regular

MAGIC = 0x1950A86A20F9469CFC6C
VERSION = 1001
_MOST_BYTES = 2 << 30


@attrs.define(eq=False)
class _Place:
    """Where a storage's values lie; known only once all pickles were read."""

    path: Path
    count: int
    width: int
    offset: int = -1

    def read(self) -> bytes:
        with open_regular(self.path) as file:
            return file.read(self.offset, self.count * self.width)


def read_legacy_checkpoint(path: Path) -> Any:
    """Return what was saved, its tensors as StoredTensors whose values stay in the file. Raises ImportFailure."""
    data = _content(path)
    places: dict[str, _Place] = {}
    storages: dict[str, Storage] = {}

    def persistent(key: Any) -> Storage:
        if not isinstance(key, tuple) or len(key) < 5 or key[0] != "storage" or not isinstance(key[2], str):
            raise PickleFault("a persistent id that is no storage: a module saved whole, perhaps")
        if len(key) > 5 and key[5] is not None:
            raise PickleFault("a storage that is a part of another one")
        if not isinstance(key[4], int) or not 0 <= key[4] <= len(data):
            raise PickleFault("a storage of more values than the file has bytes")
        if key[2] not in storages:
            kind = storage_type(key[1])
            places[key[2]] = _Place(path, key[4], kind.nbytes)
            storages[key[2]] = Storage(kind, key[4], places[key[2]].read)
        return storages[key[2]]

    at, values = 0, []
    for _ in range(5):
        read = read_torch_pickle(data, file=str(path), persistent=persistent, start=at)
        at = read.end
        values.append(read.value)
        if values[0] != MAGIC:
            break
    magic, *rest = values
    if magic != MAGIC or rest[0] != VERSION:
        raise _failure(path, "is a pickle, but not one of torch.save")
    if isinstance(rest[1], dict) and rest[1].get("little_endian") is False:
        raise _failure(path, "was saved on a machine that stores numbers the other way round")
    _find_storages(path, data, at, rest[3], places)
    return rest[2]


def _find_storages(path: Path, data: bytes, at: int, keys: Any, places: dict[str, _Place]) -> None:
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise _failure(path, "does not say in which order its storages are")
    for key in keys:
        place = places.get(key)
        count = int.from_bytes(data[at : at + 8], "little")
        if place is None or place.count != count or at + 8 + count * place.width > len(data):
            raise _failure(path, "ends within its storages, or they are not those of its tensors")
        place.offset = at + 8
        at = place.offset + count * place.width
    if any(place.offset < 0 for place in places.values()):
        raise _failure(path, "lacks storages that its tensors need")


def _content(path: Path) -> bytes:
    try:
        with open_regular(path) as file:
            if file.size > _MOST_BYTES:
                raise _failure(path, f"{file.size:,} bytes; at most {_MOST_BYTES:,} are read in this form")
            return file.read(0, file.size)
    except ParameterFileError as error:
        raise _failure(path, str(error).removeprefix(f"{path}: ")) from None


def _failure(path: Path, message: str) -> ImportFailure:
    return ImportFailure([Problem(message)], file=str(path))
