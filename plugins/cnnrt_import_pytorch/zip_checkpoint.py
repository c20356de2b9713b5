"""The form of checkpoints since PyTorch 1.6: a zip archive of data.pkl and one file for each storage.

Format: `torch.serialization._load`. A storage's file holds its values and nothing else.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cnnrt.archives import Archive, open_archive
from cnnrt.errors import CnnrtError, ImportFailure, Problem
from cnnrt.pickles import PickleFault
from cnnrt_import_pytorch.stored_tensor import Storage
from cnnrt_import_pytorch.torch_globals import SAVE_WEIGHTS, read_torch_pickle, storage_type
from netfile_spec.problems import quoted

_PICKLE = "data.pkl"
# What torch.export.save writes: since PyTorch 2.7, and before.
_MODEL, _MODEL_BEFORE = "models/model.json", "serialized_exported_program.json"


def read_zip_checkpoint(path: Path) -> Any:
    """Return what was saved, its tensors as StoredTensors whose values stay in the archive. Raises ImportFailure."""
    with open_archive(path) as archive:
        top = _top(archive, path)
        if archive.sizes.get(f"{top}byteorder", 0) and archive.read(f"{top}byteorder").strip() == b"big":
            raise ImportFailure(
                [Problem("was saved on a machine that stores numbers the other way round")], file=str(path)
            )
        storages: dict[str, Storage] = {}

        def persistent(key: Any) -> Storage:
            if not isinstance(key, tuple) or len(key) < 5 or key[0] != "storage" or not isinstance(key[2], str):
                raise PickleFault("a persistent id that is no storage")
            if key[2] not in storages:
                storages[key[2]] = _storage(path, archive, f"{top}data/{key[2]}", key[1])
            return storages[key[2]]

        data = archive.read(f"{top}{_PICKLE}")
        return read_torch_pickle(data, file=str(path), persistent=persistent).value


def is_program(path: Path) -> bool:
    """Tell whether a file is a program of torch.export; raises nothing."""
    try:
        with open_archive(path) as archive:
            return _holds_program(archive)
    except CnnrtError:
        return False


def _holds_program(archive: Archive) -> bool:
    return any(name.rpartition("/")[2] == _MODEL_BEFORE or name.endswith(_MODEL) for name in archive.sizes)


def _top(archive: Archive, path: Path) -> str:
    """Return the folder in the archive that holds the pickle, with a slash behind it where it has a name."""
    found = [name for name in archive.sizes if name == _PICKLE or name.endswith(f"/{_PICKLE}")]
    scripted = [name for name in archive.sizes if "/code/" in f"/{name}"]
    if _holds_program(archive):
        hint = "loading it may run code that is in it: convert it with --trust if you trust it as you would a program"
        raise ImportFailure([Problem("is a program of torch.export", hint=hint)], file=str(path))
    if len(found) != 1 or scripted:
        what = "is a TorchScript program" if scripted else "is an archive, but not one of torch.save"
        raise ImportFailure([Problem(what, expected="a state dict", hint=SAVE_WEIGHTS)], file=str(path))
    return found[0].removesuffix(_PICKLE)


def _storage(path: Path, archive: Archive, member: str, kind: Any) -> Storage:
    if member not in archive.sizes:
        raise PickleFault(f"the archive lacks {quoted(member)}, which a tensor needs")
    value_type = storage_type(kind)

    def read() -> bytes:
        with open_archive(path) as again:
            return again.read(member)

    return Storage(value_type, archive.sizes[member] // value_type.nbytes, read)
