"""Reads networks written down as plain text, one layer a line; README.md defines the format.

    importer.py      which files are ours, and the way from a file to an ImportedModel
    lines.py         the text: words, layers, and everything that is wrong with them, with line and column
    kinds.py         what a line may say of each kind of layer, and what that means in cnnrt
    tensors.py       weights: numbers in the line, or an .npy file beside it, read as hostile input
    conformance.py   models for cnnrt's conformance kit, so that `cnnrt plugins verify plaintext` has some to read

cnnrt finds this module by the entry point `importer.plaintext` in pyproject.toml.
"""

from __future__ import annotations

from cnnrt import hookimpl
from cnnrt.importer import Importer

plugin_api = 1


@hookimpl
def cnnrt_importers() -> list[Importer]:
    """Return the importer."""
    from cnnrt_import_plaintext.importer import PlaintextImporter

    return [PlaintextImporter()]
