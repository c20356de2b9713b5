"""Reads packages that VELES exported: a zip or tar of contents.json and arrays.

importer.py     VelesImporter: which archives are VELES's, and the path from a package to an ImportedModel
contents.py     contents.json: units with their data and links, checked; arrays beside it
units.py        the table of units; dense ones and activations as layers of a NetFile
images.py       those that see images: convolution, pooling, normalisation, cutting
reading.py      a unit while it is read: its data, checked
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnnrt import hookimpl

if TYPE_CHECKING:
    from cnnrt.importer import Importer

plugin_api = 1


@hookimpl
def cnnrt_importers() -> list[Importer]:
    """Return the importer of VELES's packages."""
    from cnnrt_import_veles.importer import VelesImporter

    return [VelesImporter()]
