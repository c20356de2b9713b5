"""Darknet's files as an importer of cnnrt sees them: which are Darknet's, and which is which."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from cnnrt.errors import ImportFailure, Problem
from cnnrt.importer import ImportedModel, Importer

_CFG, _WEIGHTS = ".cfg", ".weights"
_HEAD_BYTES = 4096


class DarknetImporter(Importer):
    """Reads a .cfg and the .weights file that was trained with it."""

    name: ClassVar[str] = "darknet"
    description: ClassVar[str] = "Darknet: .cfg and .weights"
    suite: ClassVar[str] = "cnnrt_import_darknet.conformance:DarknetSuite"

    def recognises(self, files: Sequence[Path]) -> bool:
        """Tell whether all files are named as Darknet's are, and each cfg begins with a section [net]."""
        kinds = [file.suffix.lower() for file in files]
        if not kinds or not set(kinds) <= {_CFG, _WEIGHTS}:
            return False
        return all(_begins_with_net(file) for file in files if file.suffix.lower() == _CFG)

    def read(self, files: Sequence[Path]) -> ImportedModel:
        """Return the model of one cfg and one .weights file; the weights stay there until they are looked up.

        Raises ImportFailure with every section that is not supported, each with its line, and everything else that
        stands in the way.
        """
        from cnnrt_import_darknet.convert import convert

        cfgs = [file for file in files if file.suffix.lower() == _CFG]
        weights = [file for file in files if file.suffix.lower() == _WEIGHTS]
        if len(cfgs) != 1 or len(weights) != 1 or len(files) != 2:
            named = ", ".join(file.name for file in files) or "no files"
            problem = Problem(f"the files given are {named}", expected="one .cfg and the .weights that belong to it")
            raise ImportFailure([problem], file=str(files[0]) if files else self.name)
        return convert(cfgs[0], weights[0])


def _begins_with_net(file: Path) -> bool:
    """Tell whether the first section is [net] or [network]; other programs have files named .cfg too."""
    try:
        if not file.is_file():
            return False
        with file.open("rb") as stream:
            head = stream.read(_HEAD_BYTES)
    except (OSError, ValueError):
        return False
    first = next((line for line in (raw.strip() for raw in head.splitlines()) if line.startswith(b"[")), b"")
    return first.replace(b" ", b"") in (b"[net]", b"[network]")
