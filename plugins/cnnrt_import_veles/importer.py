"""VELES's packages as an importer of cnnrt sees them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from cnnrt.errors import CnnrtError, ImportFailure, Problem
from cnnrt.importer import ImportedModel, Importer

_SUFFIXES = (".zip", ".tar", ".gz", ".tgz")


class VelesImporter(Importer):
    """Reads one package: an archive with contents.json and arrays."""

    name: ClassVar[str] = "veles"
    description: ClassVar[str] = "VELES: exported packages (contents.json and arrays, .zip, .tar, .tar.gz)"
    suite: ClassVar[str] = "cnnrt_import_veles.conformance:VelesSuite"

    def recognises(self, files: Sequence[Path]) -> bool:
        """Tell whether it is one archive that holds a contents.json."""
        from cnnrt.archives import archive_kind, open_archive
        from cnnrt_import_veles.contents import CONTENTS

        if len(files) != 1 or files[0].suffix.lower() not in _SUFFIXES or archive_kind(files[0]) is None:
            return False
        try:
            with open_archive(files[0]) as archive:
                return CONTENTS in archive.sizes
        except CnnrtError:
            return False

    def read(self, files: Sequence[Path]) -> ImportedModel:
        """Return the network of one package; raises ImportFailure with every unit that stands in the way."""
        from cnnrt.archives import open_archive
        from cnnrt.model_builder import ModelBuilder
        from cnnrt_import_veles.contents import read_units
        from cnnrt_import_veles.reading import Given
        from cnnrt_import_veles.units import add_unit

        if len(files) != 1:
            named = ", ".join(file.name for file in files) or "no file"
            problem = Problem(f"{len(files)} files: {named}", expected="one package")
            raise ImportFailure([problem], file=str(files[0]) if files else self.name)
        model = ModelBuilder(str(files[0]))
        with open_archive(files[0]) as archive:
            name, units = read_units(archive)
            data = Given(model.input("data", None))
            given: dict[int, Given] = {}
            for unit in units:
                bottoms = [given[source] for source in unit.sources] or [data]
                given[unit.number] = add_unit(unit, bottoms, model)
        model.note("a package states no input shape: add shape: [channels, rows, columns] to the input of the NetFile")
        return model.finish("".join(c for c in name if c.isprintable())[:200] or None)
