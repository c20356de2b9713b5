"""PyTorch's checkpoints as an importer of cnnrt sees them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from cnnrt.errors import ImportFailure, Problem
from cnnrt.importer import ImportedModel, Importer
from cnnrt.loose_weights import LooseWeights

_SUFFIXES = (".pt", ".pth", ".th", ".bin", ".ckpt", ".tar", ".pt2")
_ZIP = b"PK\x03\x04"
# The pickle of the magic number in protocols 2 to 5, behind the opcode of the protocol.
_MAGIC = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"
# Other programs write tar archives too: one of these stands first.
_TAR_MEMBERS = (b"sys_info", b"pickle", b"tensors", b"storages")
_HEAD_BYTES = 512


class PyTorchImporter(Importer):
    """Reads state dicts, which need a topology: zip archives, and both older forms."""

    name: ClassVar[str] = "pytorch"
    description: ClassVar[str] = "PyTorch: state dicts (.pt, .pth, .th) with --topology; programs (.pt2) with --trust"
    suite: ClassVar[str] = "cnnrt_import_pytorch.conformance:PyTorchSuite"

    def recognises(self, files: Sequence[Path]) -> bool:
        """Tell whether it is one file that is named and begins as torch.save writes them."""
        if len(files) != 1 or files[0].suffix.lower() not in _SUFFIXES:
            return False
        return _form(files[0]) is not None

    def read(self, files: Sequence[Path]) -> ImportedModel:
        """Raise ImportFailure: state dicts say what layers have learned, not what layers there are."""
        self.read_weights(files)
        hint = (
            "say in a NetFile what its layers are: --topology layers.netfile; or use cnnrt.from_torch(module, example)"
        )
        raise ImportFailure([Problem("holds weights without topology", hint=hint)], file=str(files[0]))

    def read_trusted(self, files: Sequence[Path]) -> ImportedModel:
        """Return the model of a program of torch.export, which PyTorch loads; of all else what `read` says of it."""
        from cnnrt.torch_modules import read_program
        from cnnrt_import_pytorch.zip_checkpoint import is_program

        if len(files) == 1 and is_program(files[0]):
            return read_program(files[0])
        return self.read(files)

    def read_weights(self, files: Sequence[Path]) -> LooseWeights:
        """Return the tensors of one file under their names; values stay there until they are looked up, float32.

        Raises ImportFailure with every global that the file names and that is not known, and for whatever else is
        no state dict.
        """
        from cnnrt_import_pytorch.conventions import CONVENTIONS, is_counter
        from cnnrt_import_pytorch.legacy_checkpoint import read_legacy_checkpoint
        from cnnrt_import_pytorch.state_dict import state_dict_of
        from cnnrt_import_pytorch.tar_checkpoint import read_tar_checkpoint
        from cnnrt_import_pytorch.zip_checkpoint import read_zip_checkpoint

        if len(files) != 1:
            named = ", ".join(file.name for file in files) or "no file"
            problem = Problem(f"{len(files)} files: {named}", expected="one file of weights")
            raise ImportFailure([problem], file=str(files[0]) if files else self.name)
        form = _form(files[0])
        readers = {"zip": read_zip_checkpoint, "legacy": read_legacy_checkpoint, "tar": read_tar_checkpoint}
        if form is None:
            problem = Problem("does not begin as a file of torch.save does", expected="a state dict of PyTorch")
            raise ImportFailure([problem], file=str(files[0]))
        tensors, notes = state_dict_of(readers[form](files[0]), str(files[0]))
        return LooseWeights(tensors, CONVENTIONS, ignored=is_counter, notes=notes)


def _form(file: Path) -> str | None:
    """Return "zip", "legacy" or "tar" by a file's first bytes, None for anything else; raises nothing."""
    try:
        if not file.is_file():
            return None
        with file.open("rb") as stream:
            head = stream.read(_HEAD_BYTES)
    except (OSError, ValueError):
        return None
    if head.startswith(_ZIP):
        return "zip"
    if head[:1] == b"\x80" and head[2:].startswith(_MAGIC):
        return "legacy"
    return "tar" if head[257:262] == b"ustar" and head[:100].partition(b"\0")[0] in _TAR_MEMBERS else None
