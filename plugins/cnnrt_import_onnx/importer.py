"""ONNX models as an importer of cnnrt sees them."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

from cnnrt.errors import ImportFailure, Problem
from cnnrt.importer import ImportedModel, Importer

_SUFFIX = ".onnx"


class OnnxImporter(Importer):
    """Reads one .onnx file; weights that it keeps in files beside it are found there."""

    name: ClassVar[str] = "onnx"
    description: ClassVar[str] = "ONNX: .onnx, operator sets 6 to 28 (needs the package onnx)"
    suite: ClassVar[str] = "cnnrt_import_onnx.conformance:OnnxSuite"

    def problem(self) -> str:
        """Return what to install where the package onnx is missing."""
        if find_spec("onnx") is not None:
            return ""
        return 'reading ONNX models needs the package onnx: pip install "cnnrt[onnx]"'

    def recognises(self, files: Sequence[Path]) -> bool:
        """Tell whether all files are named as ONNX models are."""
        return bool(files) and all(file.suffix.lower() == _SUFFIX for file in files)

    def read(self, files: Sequence[Path]) -> ImportedModel:
        """Return the model of one file; its weights stay there until they are looked up, float32.

        Raises ImportFailure with every operator that is not supported, the nodes that are of it, and everything else
        that stands in the way; CnnrtError where the package onnx is not installed.
        """
        from cnnrt_import_onnx.convert import convert
        from cnnrt_import_onnx.model_file import read_model
        from cnnrt_import_onnx.supported import SUPPORTED

        if len(files) != 1:
            named = ", ".join(file.name for file in files) or "no file"
            expected = "one .onnx file; its external data is found beside it"
            problem = Problem(f"{len(files)} files: {named}", expected=expected)
            raise ImportFailure([problem], file=str(files[0]) if files else self.name)
        model = convert(read_model(files[0]), files[0]).model
        if not model.netfile.layers:
            problem = Problem("the model computes nothing", expected=f"nodes of {', '.join(SUPPORTED)}")
            raise ImportFailure([problem], file=str(files[0]))
        return model

    def backend(self) -> type:
        """Return cnnrt as a backend of ONNX, see `cnnrt.onnx_backend`; CnnrtError without the package onnx."""
        from cnnrt_import_onnx.model_file import onnx_package

        onnx_package()
        from cnnrt_import_onnx.backend import CnnrtBackend

        return CnnrtBackend
