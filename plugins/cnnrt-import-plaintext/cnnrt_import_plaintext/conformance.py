"""The suite of the importer, for `cnnrt.testing`: texts to read that have all the format knows between them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cnnrt.testing import ImporterSuite
from cnnrt_import_plaintext.importer import PlaintextImporter

WITH_FILES = """plaintext-net 1
input 3 9 9
conv c1 weight=c1.npy bias=0.1,-0.2,0.3,0.4 stride=2 pad=1 dilation=1  # 5 rows and columns
relu r1
conv c2 weight=c2.npy group=2
meanpool p1 size=2 stride=1 pad=1
dense f1 weight=f1.npy
softmax prob
"""
WITH_NUMBERS = """plaintext-net 1
input 4
dense f1 weight=2x4:1,-2,.5,1e-3,0,0,1,1 bias=0.5,-0.5
"""


class PlaintextSuite(ImporterSuite):
    """A network with its weights in files beside it, and one with numbers in its text."""

    importer = PlaintextImporter()

    def models(self, folder: Path) -> Sequence[Sequence[Path]]:
        """Write both."""
        random = np.random.default_rng(0)
        for name, shape in {"c1": (4, 3, 3, 3), "c2": (4, 2, 1, 1), "f1": (5, 144)}.items():
            np.save(folder / f"{name}.npy", random.standard_normal(shape).astype(np.float32))
        (folder / "files.txt").write_text(WITH_FILES, encoding="utf-8")
        (folder / "numbers.txt").write_text(WITH_NUMBERS, encoding="utf-8")
        return [[folder / "files.txt"], [folder / "numbers.txt"]]
