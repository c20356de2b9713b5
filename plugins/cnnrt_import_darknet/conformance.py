"""The suite of the importer, for `cnnrt.testing`: a detector in small and a classifier. Needs hypothesis."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cnnrt.testing.importer_suite import ImporterSuite
from cnnrt_import_darknet.importer import DarknetImporter

DETECTOR = """
[net]
width=8
height=8
channels=3

[convolutional]
batch_normalize=1
filters=4
size=3
stride=1
pad=1
activation=leaky

[maxpool]
size=2
stride=1

[convolutional]
filters=4
size=1
activation=linear

[shortcut]
from=-2
activation=leaky

[convolutional]
filters=16
size=1
activation=linear

[yolo]
mask=0,1
anchors=1,2, 3,4
classes=3

[route]
layers=-3,0

[convolutional]
groups=2
filters=2
size=3
stride=2
pad=1
activation=relu

[region]
anchors=1,2
classes=2
"""
CLASSIFIER = """
[net]
width=6
height=6
channels=1

[conv]
filters=2
size=3
activation=relu

[connected]
output=3
activation=linear

[dropout]
probability=.5

[softmax]
"""
DETECTOR_VALUES = 4 * 3 * 9 + 4 * 4 + (4 * 4 + 4) + (4 * 16 + 16) + (2 * 4 * 9 + 2)
CLASSIFIER_VALUES = (2 * 9 + 2) + (3 * 32 + 3)


class DarknetSuite(ImporterSuite):
    """A detector with two heads and a header of 64 bits, and a classifier with one of 32 bits."""

    importer = DarknetImporter()

    def models(self, folder: Path) -> Sequence[Sequence[Path]]:
        """Write both."""
        return [
            _written(folder / "detector", DETECTOR, DETECTOR_VALUES, (0, 2, 5)),
            _written(folder / "classifier", CLASSIFIER, CLASSIFIER_VALUES, (0, 1, 0)),
        ]


def _written(base: Path, text: str, count: int, version: tuple[int, int, int]) -> list[Path]:
    """Write a cfg, and weights of so many random values between 0 and 1."""
    cfg, weights = base.with_suffix(".cfg"), base.with_suffix(".weights")
    cfg.write_text(text, encoding="utf-8")
    seen = np.zeros(1, "<i8" if version[1] >= 2 else "<i4")
    values = np.random.default_rng(0).random(count, np.float32)
    weights.write_bytes(np.array(version, "<i4").tobytes() + seen.tobytes() + values.astype("<f4").tobytes())
    return [cfg, weights]
