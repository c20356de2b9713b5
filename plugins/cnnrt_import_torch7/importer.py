"""Torch7's files as an importer of cnnrt sees them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from cnnrt.errors import ImportFailure, Problem
from cnnrt.importer import ImportedModel, Importer

_SUFFIXES = (".t7", ".net", ".nn", ".th", ".dat", ".t7b", ".ascii", ".model", ".bin")
# The type of the first object (a table or an object of a class) and its index, which is 1: in ASCII, or as integers.
_ASCII = re.compile(rb"[34]\n1\n")
_BINARY = re.compile(rb"[\x03\x04]\0{3}\x01\0{3}", re.DOTALL)


class Torch7Importer(Importer):
    """Reads one file that `torch.save` wrote, binary or ASCII."""

    name: ClassVar[str] = "torch7"
    description: ClassVar[str] = "Torch7 (Lua): .t7, .net, .nn, binary and ASCII; nn, cudnn and nngraph modules"
    suite: ClassVar[str] = "cnnrt_import_torch7.conformance:Torch7Suite"

    def recognises(self, files: Sequence[Path]) -> bool:
        """Tell whether it is a file, or two, named as Torch7's are, that begin with a table or an object."""
        named = 1 <= len(files) <= 2 and all(file.suffix.lower() in _SUFFIXES for file in files)
        return named and all(_begins_right(file) for file in files)

    def read(self, files: Sequence[Path]) -> ImportedModel:
        """Return the model of one file; a second one may hold a table of `mean` and `std` for each channel.

        Raises ImportFailure with every module that is not supported, each with its place in the tree, and everything
        else that stands in the way.
        """
        from cnnrt_import_torch7.convert import convert, is_normalisation
        from cnnrt_import_torch7.object_reader import read_file

        found = [(file, read_file(file)) for file in files[:3]]
        tables = [root for _, root in found if is_normalisation(root)]
        networks = [(file, root) for file, root in found if not is_normalisation(root)]
        if len(networks) != 1 or len(files) > 2:
            named = ", ".join(file.name for file in files) or "no file"
            expected = "one network, perhaps with a table of mean and std"
            problem = Problem(f"{len(files)} files: {named}", expected=expected)
            raise ImportFailure([problem], file=str(files[0]) if files else self.name)
        (file, root), *_ = networks
        return convert(root, str(file), tables[0] if tables else None)


def _begins_right(file: Path) -> bool:
    try:
        if not file.is_file():
            return False
        with file.open("rb") as stream:
            head = stream.read(8)
    except (OSError, ValueError):
        return False
    return _ASCII.match(head) is not None or _BINARY.match(head) is not None
