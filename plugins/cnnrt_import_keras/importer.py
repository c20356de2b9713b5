"""Keras's models as an importer of cnnrt sees them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from cnnrt.errors import ImportFailure, Problem
from cnnrt.importer import ImportedModel, Importer
from cnnrt.loose_weights import LooseWeights

if TYPE_CHECKING:
    from cnnrt_import_keras.keras_file import KerasFile

_SUFFIXES = (".h5", ".hdf5", ".keras")


class KerasImporter(Importer):
    """Reads one file that Keras saved: a whole model, or weights for a topology."""

    name: ClassVar[str] = "keras"
    description: ClassVar[str] = "Keras 1 to 3: .h5, .hdf5, .keras (needs the package h5py)"
    suite: ClassVar[str] = "cnnrt_import_keras.conformance:KerasSuite"

    def problem(self) -> str:
        """Return what to install where h5py is missing, which reads all three formats."""
        from cnnrt_import_keras.hdf5 import MISSING, h5py_is_missing

        return MISSING if h5py_is_missing() else ""

    def recognises(self, files: Sequence[Path]) -> bool:
        """Tell whether all files are named as Keras's are; a .caffemodel.h5 is Caffe's."""
        return bool(files) and all(
            file.suffix.lower() in _SUFFIXES and not file.stem.lower().endswith(".caffemodel") for file in files
        )

    def read(self, files: Sequence[Path]) -> ImportedModel:
        """Return the model of one file, its weights float32.

        Raises ImportFailure with every layer that is not supported, and everything else that stands in the way;
        CnnrtError where h5py is not installed.
        """
        from cnnrt_import_keras.walk import convert

        file = self._file(files)
        if file.config is None:
            hint = "save the whole model (model.save), or say in a NetFile what its layers are: --topology"
            raise ImportFailure([Problem("holds weights without a model", hint=hint)], file=str(files[0]))
        return convert(file, str(files[0]))

    def read_weights(self, files: Sequence[Path]) -> LooseWeights:
        """Return the weights of one .h5 or .hdf5 file; kernels are mirrored where they were trained on Theano."""
        from cnnrt_import_keras.conventions import loose_weights

        file = self._file(files)
        if file.by_path is not None:
            return super().read_weights(files)
        return loose_weights(file)

    def _file(self, files: Sequence[Path]) -> KerasFile:
        from cnnrt_import_keras.keras_file import read_file

        if len(files) != 1:
            named = ", ".join(file.name for file in files) or "no file"
            problem = Problem(f"{len(files)} files: {named}", expected="one .h5, .hdf5 or .keras file")
            raise ImportFailure([problem], file=str(files[0]) if files else self.name)
        return read_file(files[0])
