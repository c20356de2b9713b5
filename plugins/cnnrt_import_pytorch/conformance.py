"""The suites of the importers, for `cnnrt.testing`: one state dict in every form. Needs hypothesis."""

from __future__ import annotations

import io
import json
import pickle
import struct
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from cnnrt.layer import Array
from cnnrt.testing.importer_suite import ImporterSuite
from cnnrt_import_pytorch.importer import PyTorchImporter
from cnnrt_import_pytorch.legacy_checkpoint import MAGIC, VERSION
from cnnrt_import_pytorch.safetensors_importer import SafetensorsImporter

TOPOLOGY = """netfile_version: 1
input { name: "data" shape: [3, 8, 8] }
layer { type: "Convolution" name: "conv" }
layer { type: "BatchNorm" name: "norm" }
layer { type: "ReLU" name: "relu" }
layer { type: "FullyConnected" name: "fc" }
"""


def state_dict() -> dict[str, Array]:
    """Return the tensors of the topology's layers, random, between 0 and 1, and a counter of training."""
    random = np.random.default_rng(0)
    shapes: dict[str, tuple[int, ...]] = {"conv.weight": (4, 3, 3, 3), "conv.bias": (4,)}
    shapes |= {f"norm.{name}": (4,) for name in ("weight", "bias", "running_mean", "running_var")}
    shapes |= {"fc.weight": (5, 144), "fc.bias": (5,)}
    tensors: dict[str, Array] = {name: random.random(shape, np.float32) for name, shape in shapes.items()}
    return tensors | {"norm.num_batches_tracked": np.array(7, np.int64)}


def pickled(tensors: Mapping[str, Array]) -> bytes:
    """Return the pickle that torch.save writes for a state dict: tensors as views of storages "0", "1", ..."""
    out = bytearray(b"\x80\x02ccollections\nOrderedDict\n)R(")
    for number, (name, values) in enumerate(tensors.items()):
        storage = "LongStorage" if values.dtype == np.int64 else "FloatStorage"
        strides = tuple(stride // values.itemsize for stride in values.strides)
        out += _text(name) + b"ctorch._utils\n_rebuild_tensor_v2\n(("
        out += _text("storage") + f"ctorch\n{storage}\n".encode() + _text(str(number)) + _text("cpu")
        out += _integer(values.size) + b"tQ" + _integer(0)
        out += b"(" + b"".join(map(_integer, values.shape)) + b"t(" + b"".join(map(_integer, strides)) + b"t"
        out += b"\x89ccollections\nOrderedDict\n)RtR"
    return bytes(out + b"u.")


def write_zip(path: Path, tensors: Mapping[str, Array]) -> None:
    """Write the form since 1.6."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", pickled(tensors))
        for number, values in enumerate(tensors.values()):
            archive.writestr(f"archive/data/{number}", values.tobytes())
        archive.writestr("archive/version", "3\n")


def write_legacy(path: Path, tensors: Mapping[str, Array]) -> None:
    """Write the form of 0.1.11 to 1.5."""
    stream = io.BytesIO()
    for value in (MAGIC, VERSION, {"protocol_version": VERSION, "little_endian": True}):
        pickle.dump(value, stream, protocol=2)
    # With five pieces, a persistent id is that of the form with views: none here.
    stream.write(pickled(tensors).replace(b"tQ", b"NtQ"))
    pickle.dump([str(number) for number in range(len(tensors))], stream, protocol=2)
    for values in tensors.values():
        stream.write(struct.pack("<q", values.size) + values.tobytes())
    path.write_bytes(stream.getvalue())


def write_safetensors(path: Path, tensors: Mapping[str, Array], types: Mapping[Any, str] | None = None) -> None:
    """Write a file of the tensors one behind the other."""
    names = types or {np.dtype(np.float32): "F32", np.dtype(np.int64): "I64"}
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, values in tensors.items():
        offsets = [at, at + values.nbytes]
        header[name] = {"dtype": names[values.dtype], "shape": list(values.shape), "data_offsets": offsets}
        at += values.nbytes
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(v.tobytes() for v in tensors.values()))


class PyTorchSuite(ImporterSuite):
    """A state dict as a zip archive and in the form before."""

    importer = PyTorchImporter()
    forms: ClassVar[Mapping[str, Callable[[Path, Mapping[str, Array]], None]]] = {
        "new.pth": write_zip,
        "old.pt": write_legacy,
    }

    def models(self, folder: Path) -> Sequence[Sequence[Path]]:
        """Write both, each with the topology behind it."""
        models = []
        for name, write in self.forms.items():
            topology = (folder / name).with_suffix(".netfile")
            topology.write_text(TOPOLOGY, encoding="utf-8")
            write(folder / name, state_dict())
            models.append([folder / name, topology])
        return models


class SafetensorsSuite(ImporterSuite):
    """One file, and its topology."""

    importer = SafetensorsImporter()

    def models(self, folder: Path) -> Sequence[Sequence[Path]]:
        """Write it."""
        (folder / "layers.netfile").write_text(TOPOLOGY, encoding="utf-8")
        write_safetensors(folder / "net.safetensors", state_dict())
        return [[folder / "net.safetensors", folder / "layers.netfile"]]


def _text(text: str) -> bytes:
    return b"X" + struct.pack("<I", len(text)) + text.encode()


def _integer(number: int) -> bytes:
    return b"J" + struct.pack("<i", number)
