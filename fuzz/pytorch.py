"""PyTorch's checkpoints in their forms, and safetensors."""

from __future__ import annotations

import functools
import io
import tempfile
import zipfile
from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path
from random import Random

import numpy as np

from cnnrt.importer import Importer
from cnnrt_import_pytorch.conformance import pickled, state_dict, write_legacy, write_safetensors, write_zip
from cnnrt_import_pytorch.importer import PyTorchImporter
from cnnrt_import_pytorch.safetensors_importer import SafetensorsImporter
from fuzz.mutations import BYTES, mutated
from fuzz.target import Guarded, Target
from netfile_spec import CnnrtError

_WORDS = (
    *BYTES,
    b"cposix\nsystem\n",
    b"c__builtin__\neval\n",
    b"ctorch\nHalfStorage\n",
    b"ctorch._utils\n_rebuild_tensor_v2\n",
    b"ccollections\nOrderedDict\n",
    b"R",
    b"Q",
    b"b",
    b"(",
    b"t",
    b"0",
    b"2" * 50,
    b"J\xff\xff\xff\x7f",
    b"\x8a\xff" + b"\xff" * 255,
)
_JSON_WORDS = (
    *BYTES,
    b'"shape"',
    b"[",
    b"]",
    b"{",
    b"}",
    b"-1",
    b"99999999999999999999",
    b"NaN",
    b'"BF16"',
    b"null",
    b"1e999",
)


@functools.cache
def _sound(form: str) -> bytes:
    write = {"zip": write_zip, "legacy": write_legacy, "safetensors": write_safetensors}[form]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net"
        write(path, state_dict())
        return path.read_bytes()


def _zipped(data: bytes) -> bytes:
    """Return an archive with this pickle and sound storages, checksums included."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("archive/data.pkl", data)
        for number, values in enumerate(state_dict().values()):
            archive.writestr(f"archive/data/{number}", values.tobytes())
    return stream.getvalue()


def _make(random: Random) -> bytes:
    way = random.random()
    if way < 0.5:
        data = pickled(state_dict())
        return _zipped(mutated(random, data, [data], _WORDS) if random.random() < 0.9 else data)
    form = random.choice(("zip", "legacy", "legacy"))
    return mutated(random, _sound(form), [_sound("zip"), _sound("legacy")], _WORDS)


def _make_safetensors(random: Random) -> bytes:
    data = _sound("safetensors")
    way = random.random()
    if way < 0.1:
        return data
    if way < 0.6:
        length = int.from_bytes(data[:8], "little")
        header = mutated(random, data[8 : 8 + length], [data[8 : 8 + length]], _JSON_WORDS)
        return len(header).to_bytes(8, "little") + header + data[8 + length :]
    return mutated(random, data, [data], _JSON_WORDS)


def _reader(importer: Importer, name: str) -> Callable[[bytes, Path, Guarded], None]:
    def read(data: bytes, folder: Path, guarded: Guarded) -> None:
        path = folder / name
        path.write_bytes(data)
        with guarded():
            importer.recognises([path])
            for tensor in importer.read_weights([path]).tensors:
                assert tensor.read().dtype == np.float32

    return read


def _preparer(read: Callable[[bytes, Path, Guarded], None], make: Callable[[Random], bytes]) -> Callable[[Path], None]:
    def prepare(folder: Path) -> None:
        for number in range(40):
            with suppress(CnnrtError):
                read(make(Random(number)), folder, nullcontext)

    return prepare


_FOLDER = "plugins/cnnrt_import_pytorch/"
_CHECKPOINT = (
    "importer",
    "zip_checkpoint",
    "legacy_checkpoint",
    "state_dict",
    "stored_tensor",
    "torch_globals",
    "value_types",
)
_read_checkpoint = _reader(PyTorchImporter(), "net.pth")
_read_safetensors = _reader(SafetensorsImporter(), "net.safetensors")
CHECKPOINT = Target(
    "pytorch",
    _preparer(_read_checkpoint, _make),
    _make,
    _read_checkpoint,
    tuple(f"{_FOLDER}{name}.py" for name in _CHECKPOINT),
)
SAFETENSORS = Target(
    "safetensors",
    _preparer(_read_safetensors, _make_safetensors),
    _make_safetensors,
    _read_safetensors,
    (_FOLDER + "safetensors_file.py", _FOLDER + "safetensors_importer.py"),
)
