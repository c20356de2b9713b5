"""TensorFlow's models as an importer of cnnrt sees them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from cnnrt.errors import ImportFailure, Problem
from cnnrt.importer import ImportedModel, Importer

_SUFFIX = ".pb"


class TensorFlowImporter(Importer):
    """Reads a frozen graph (.pb), or a saved_model.pb whose variables lie in the folder `variables` beside it."""

    name: ClassVar[str] = "tensorflow"
    description: ClassVar[str] = "TensorFlow: frozen graphs (.pb) and SavedModels (saved_model.pb)"
    suite: ClassVar[str] = "cnnrt_import_tensorflow.conformance:TensorFlowSuite"

    def recognises(self, files: Sequence[Path]) -> bool:
        """Tell whether all files are named as TensorFlow's graphs are."""
        return bool(files) and all(file.suffix.lower() == _SUFFIX for file in files)

    def read(self, files: Sequence[Path]) -> ImportedModel:
        """Return the model of one file; its weights stay there until they are looked up, float32.

        Raises ImportFailure with every operator that is not supported, the nodes that are of it, and everything else
        that stands in the way.
        """
        from cnnrt_import_tensorflow.graph_file import read_graph
        from cnnrt_import_tensorflow.walk import convert

        if len(files) != 1:
            named = ", ".join(file.name for file in files) or "no file"
            problem = Problem(f"{len(files)} files: {named}", expected="one .pb file")
            raise ImportFailure([problem], file=str(files[0]) if files else self.name)
        return convert(read_graph(files[0]), files[0])
