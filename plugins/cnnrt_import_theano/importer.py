"""Theano's files as an importer of cnnrt sees them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from cnnrt.errors import ImportFailure, Problem
from cnnrt.importer import ImportedModel, Importer
from cnnrt.loose_weights import LooseWeights

if TYPE_CHECKING:
    from typing import Any

_SUFFIXES = (".npz", ".npy", ".pkl", ".pickle", ".p", ".params", ".save", ".model", ".gz")


class TheanoImporter(Importer):
    """Reads lists of arrays, which need a topology, and pickled layers of Lasagne, which are one."""

    name: ClassVar[str] = "theano"
    description: ClassVar[str] = (
        "Theano, Lasagne: lists of arrays (.npz, .npy, pickles) with --topology; pickled layers"
    )
    suite: ClassVar[str] = "cnnrt_import_theano.conformance:TheanoSuite"

    def recognises(self, files: Sequence[Path]) -> bool:
        """Tell whether it is one file that is named as such files are and holds arrays of NumPy."""
        from cnnrt_import_theano.stored_arrays import is_ours

        return len(files) == 1 and files[0].suffix.lower() in _SUFFIXES and is_ours(files[0])

    def read(self, files: Sequence[Path]) -> ImportedModel:
        """Return the network of pickled Lasagne layers; ImportFailure for lists of arrays, which need a topology."""
        from cnnrt_import_theano.lasagne_network import lasagne_layers, read_network

        file, value = self._value(files)
        layers = lasagne_layers(value)
        if not layers:
            hint = "say in a NetFile what its layers are: --topology layers.netfile"
            raise ImportFailure([Problem("holds weights without topology", hint=hint)], file=file)
        return read_network(layers, file)

    def read_weights(self, files: Sequence[Path]) -> LooseWeights:
        """Return all arrays of one file, in order; kernels are mirrored by default."""
        from cnnrt_import_theano.conventions import CONVENTIONS, FLIP_REASON
        from cnnrt_import_theano.tensors import tensors_of

        file, value = self._value(files)
        tensors, notes = tensors_of(value, file)
        return LooseWeights(tensors, CONVENTIONS, flip_kernels=True, flip_reason=FLIP_REASON, notes=notes)

    def _value(self, files: Sequence[Path]) -> tuple[str, Any]:
        from cnnrt_import_theano.stored_arrays import read_value

        if len(files) != 1:
            named = ", ".join(file.name for file in files) or "no file"
            problem = Problem(f"{len(files)} files: {named}", expected="one file of weights")
            raise ImportFailure([problem], file=str(files[0]) if files else self.name)
        return str(files[0]), read_value(files[0])
