"""What an importer is: a plugin that reads the files of another framework into a NetFile and its weights."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import attrs
from attrs import field

from cnnrt.errors import ImportFailure, Problem
from cnnrt.layer import Array
from cnnrt.loose_weights import LooseWeights
from netfile_spec import NetFile


@attrs.frozen
class ImportedModel:
    """A model as an importer hands it over.

    `parameters` holds, by layer name, the weights by name (float32, logical shapes as the layer's class states
    them). `notes` are sentences for the user: what was dropped, guessed, or should be looked at.
    """

    netfile: NetFile
    parameters: Mapping[str, Mapping[str, Array]] = field(factory=dict)
    notes: tuple[str, ...] = ()


class Importer(abc.ABC):
    """Reads one family of model files.

    `name` is used in messages, `description` is one line for listings. `suite`: where its conformance suite is (a
    subclass of `cnnrt.testing.ImporterSuite`, which brings models to read), as "module:class".
    """

    name: ClassVar[str]
    description: ClassVar[str] = ""
    suite: ClassVar[str] = ""

    def problem(self) -> str:
        """Return why nothing can be read here: which package is missing, and how to install it. Empty: all is there.

        Asked for listings; looks for the package without importing it.
        """
        return ""

    @abc.abstractmethod
    def recognises(self, files: Sequence[Path]) -> bool:
        """Tell whether these files are this importer's, by names and first bytes; never raises for foreign ones."""

    @abc.abstractmethod
    def read(self, files: Sequence[Path]) -> ImportedModel:
        """Return the model; raises ImportFailure that lists everything that stands in the way."""

    def read_trusted(self, files: Sequence[Path]) -> ImportedModel:
        """Return the model of files that the user trusts as a program is trusted, whatever reading them may run.

        By default as `read`: an importer that runs nothing of a file needs no trust. Raises as `read` does.
        """
        return self.read(files)

    def read_weights(self, files: Sequence[Path]) -> LooseWeights:
        """Return the weights of files that hold no topology, to be matched with the layers of a NetFile.

        Raises ImportFailure with everything that stands in the way; by default for all files, since most formats hold
        the topology as well.
        """
        hint = "leave out the topology (--topology): these files hold their own"
        problem = Problem(f"the importer {self.name!r} reads no weights alone", hint=hint)
        raise ImportFailure([problem], file=str(files[0]) if files else self.name)

    def read_mean(self, file: Path) -> Array | None:
        """Return a mean image, float32 (channels, rows, columns), or None where the file is not such a thing."""
        return None
