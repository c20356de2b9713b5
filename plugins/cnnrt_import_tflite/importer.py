"""TFLite's models as an importer of cnnrt sees them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from cnnrt.errors import ImportFailure, Problem
from cnnrt.importer import ImportedModel, Importer

_SUFFIX = ".tflite"


class TFLiteImporter(Importer):
    """Reads one .tflite file."""

    name: ClassVar[str] = "tflite"
    description: ClassVar[str] = "TensorFlow Lite: .tflite, in floating point; quantised weights become float"
    suite: ClassVar[str] = "cnnrt_import_tflite.conformance:TFLiteSuite"

    def recognises(self, files: Sequence[Path]) -> bool:
        """Tell whether all files are named as TFLite's models are."""
        return bool(files) and all(file.suffix.lower() == _SUFFIX for file in files)

    def read(self, files: Sequence[Path]) -> ImportedModel:
        """Return the model of one file; its weights stay there until they are looked up, float32.

        Raises ImportFailure with every operator that is not supported, and everything else that stands in the way.
        """
        from cnnrt_import_tflite.walk import read_file

        if len(files) != 1:
            named = ", ".join(file.name for file in files) or "no file"
            problem = Problem(f"{len(files)} files: {named}", expected="one .tflite file")
            raise ImportFailure([problem], file=str(files[0]) if files else self.name)
        return read_file(files[0])
