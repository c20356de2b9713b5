"""The importer: which files are ours, and the way from a file to an ImportedModel."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cnnrt.errors import ImportFailure, Problem
from cnnrt.importer import ImportedModel, Importer
from cnnrt_import_plaintext.lines import FIRST_WORD, read_lines

LARGEST_TEXT = 1024 * 1024
"""Bytes: room for some hundred thousand digits; longer weights belong into .npy files."""


class PlaintextImporter(Importer):
    """Reads one text file; weights stand in it or in .npy files beside it."""

    name = "plaintext"
    description = f"plain text: one layer a line, after a first line {FIRST_WORD!r} and the version"
    suite = "cnnrt_import_plaintext.conformance:PlaintextSuite"

    def recognises(self, files: Sequence[Path]) -> bool:
        """Tell whether it is one regular file that begins as the format does."""
        if len(files) != 1:
            return False
        try:
            if not files[0].is_file():  # opening a pipe would wait for its writer
                return False
            with files[0].open("rb") as stream:
                return stream.read(len(FIRST_WORD) + 1).split() == [FIRST_WORD.encode()]
        except (OSError, ValueError):
            return False

    def read(self, files: Sequence[Path]) -> ImportedModel:
        """Return the model, weights as float32; raises ImportFailure with everything that is wrong in the file."""
        if len(files) != 1:
            raise ImportFailure(
                [Problem(f"{len(files)} files", expected="one text file; the .npy files beside it are found by name")],
                file=str(files[0]) if files else self.name,
            )
        source = _text(files[0])
        found = read_lines(source, files[0].parent)
        if found.problems:
            raise ImportFailure(found.problems, file=str(files[0]), source=source)
        return found.model()


def _text(file: Path) -> str:
    try:
        if not file.is_file():
            raise ImportFailure([Problem("is not a regular file")], file=str(file))
        with file.open("rb") as stream:
            content = stream.read(LARGEST_TEXT + 1)
    except (OSError, ValueError) as error:
        raise ImportFailure([Problem(f"cannot be read: {error}")], file=str(file)) from error
    if len(content) > LARGEST_TEXT:
        expected = f"at most {LARGEST_TEXT} bytes; put weights into .npy files"
        raise ImportFailure([Problem("the file is too long", expected=expected)], file=str(file))
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        problem = Problem(f"byte {error.start} is not UTF-8", expected="a text file")
        raise ImportFailure([problem], file=str(file)) from error
