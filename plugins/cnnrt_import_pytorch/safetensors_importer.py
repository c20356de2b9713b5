"""Files in the safetensors format as an importer of cnnrt sees them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from cnnrt.errors import ImportFailure, Problem
from cnnrt.importer import ImportedModel, Importer
from cnnrt.loose_weights import LooseWeights

_SUFFIX = ".safetensors"


class SafetensorsImporter(Importer):
    """Reads tensors by name, which need a topology; several files are the parts of one model."""

    name: ClassVar[str] = "safetensors"
    description: ClassVar[str] = "safetensors: .safetensors with --topology"
    suite: ClassVar[str] = "cnnrt_import_pytorch.conformance:SafetensorsSuite"

    def recognises(self, files: Sequence[Path]) -> bool:
        """Tell whether all files are named as safetensors are."""
        return bool(files) and all(file.suffix.lower() == _SUFFIX for file in files)

    def read(self, files: Sequence[Path]) -> ImportedModel:
        """Raise ImportFailure: the files say what layers have learned, not what layers there are."""
        self.read_weights(files)
        hint = "say in a NetFile what its layers are: --topology layers.netfile"
        raise ImportFailure([Problem("holds weights without topology", hint=hint)], file=str(files[0]))

    def read_weights(self, files: Sequence[Path]) -> LooseWeights:
        """Return the tensors of all files by name; values stay there until they are looked up, float32."""
        from cnnrt_import_pytorch.conventions import CONVENTIONS, is_counter
        from cnnrt_import_pytorch.safetensors_file import read_safetensors

        if not files:
            raise ImportFailure([Problem("no file", expected="one or more .safetensors files")], file=self.name)
        found: dict[str, Path] = {}
        tensors = []
        for file in files:
            for tensor in read_safetensors(file):
                if tensor.name in found:
                    message = f"holds the tensor {tensor.name[:100]!r}, as {found[tensor.name].name} does"
                    raise ImportFailure([Problem(message)], file=str(file))
                found[tensor.name] = file
                tensors.append(tensor)
        return LooseWeights(tensors, CONVENTIONS, ignored=is_counter)
