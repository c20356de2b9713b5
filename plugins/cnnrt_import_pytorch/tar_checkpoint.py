"""The form of checkpoints before PyTorch 0.1.11: a tar archive of `storages`, `tensors` and `pickle`.

Format: `legacy_load` in `torch.serialization`. `storages`: their number, then for each a pickle (key, place, type), the
number of values, 64 bits, and the values; then parts of storages. `tensors`: their number, then for each a pickle
(key, storage, type), the number of dimensions, sizes, strides and offset. `pickle`: what was saved, by keys of tensors.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from cnnrt.archives import open_archive
from cnnrt.errors import ImportFailure, Problem
from cnnrt.pickles import PickleFault
from cnnrt_import_pytorch.stored_tensor import Storage, StoredTensor, checked_tensor
from cnnrt_import_pytorch.torch_globals import read_torch_pickle, storage_type

_MOST = 1_000_000


def read_tar_checkpoint(path: Path) -> Any:
    """Return what was saved, its tensors as StoredTensors. Raises ImportFailure."""
    with open_archive(path) as archive:
        missing = [name for name in ("storages", "tensors", "pickle") if name not in archive.sizes]
        if missing:
            raise _failure(path, f"is a tar archive without {', '.join(missing)}: not one of torch.save")
        storages = _storages(archive.read("storages"), path)
        tensors = _tensors(archive.read("tensors"), storages, path)

        def persistent(key: Any) -> StoredTensor:
            number = int(key) if isinstance(key, str) and key.isascii() and key.isdigit() and len(key) < 30 else key
            if not isinstance(number, int) or number not in tensors:
                raise PickleFault("a persistent id that is no tensor: a module saved whole, perhaps")
            return tensors[number]

        data = archive.read("pickle")
        return read_torch_pickle(data, file=str(path), persistent=persistent).value


def _storages(data: bytes, path: Path) -> dict[Any, Storage]:
    found: dict[Any, Storage] = {}
    at, count = _number(data, path)
    for _ in range(count):
        read = read_torch_pickle(data, file=str(path), start=at)
        key, kind = _pair(read.value, path)
        values = int.from_bytes(data[read.end : read.end + 8], "little")
        at = read.end + 8 + values * kind.nbytes
        if at > len(data):
            raise _failure(path, "ends within its storages")
        found[key] = Storage(kind, values, functools.partial(bytes, data[read.end + 8 : at]))
    if read_torch_pickle(data, file=str(path), start=at).value:
        raise _failure(path, "holds storages that are parts of others, which is not supported")
    return found


def _tensors(data: bytes, storages: dict[Any, Storage], path: Path) -> dict[Any, StoredTensor]:
    found: dict[Any, StoredTensor] = {}
    at, count = _number(data, path)
    for _ in range(count):
        read = read_torch_pickle(data, file=str(path), start=at)
        if (
            not isinstance(read.value, tuple)
            or len(read.value) != 3
            or not all(isinstance(k, int) for k in read.value[:2])
        ):
            raise _failure(path, "holds a tensor that is described in an unknown way")
        key, storage = read.value[:2]
        dimensions = int.from_bytes(data[read.end : read.end + 4], "little")  # four bytes behind it mean nothing
        at = read.end + 8 + 8 * (2 * dimensions + 1)
        if at > len(data):
            raise _failure(path, "ends within its tensors")
        numbers = [int.from_bytes(data[i : i + 8], "little") for i in range(read.end + 8, at, 8)]
        shape, strides, offset = numbers[:dimensions], numbers[dimensions:-1], numbers[-1]
        try:
            found[key] = checked_tensor(storages.get(storage), offset, shape, strides)
        except PickleFault as fault:
            raise _failure(path, f"holds {fault}") from None
    return found


def _number(data: bytes, path: Path) -> tuple[int, int]:
    read = read_torch_pickle(data, file=str(path))
    if not isinstance(read.value, int) or not 0 <= read.value <= _MOST:
        raise _failure(path, "does not say how many tensors it holds")
    return read.end, read.value


def _pair(value: Any, path: Path) -> tuple[int, Any]:
    try:
        if isinstance(value, tuple) and len(value) == 3 and isinstance(value[0], int):
            return value[0], storage_type(value[2])
    except PickleFault as fault:
        raise _failure(path, f"holds {fault}") from None
    raise _failure(path, "holds a storage that is described in an unknown way")


def _failure(path: Path, message: str) -> ImportFailure:
    return ImportFailure([Problem(message)], file=str(path))
