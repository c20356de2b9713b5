"""The suite of the importer, for `cnnrt.testing`: weights in three forms, each with a topology. Needs hypothesis."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cnnrt.layer import Array
from cnnrt.testing.importer_suite import ImporterSuite
from cnnrt_import_theano.importer import TheanoImporter

TOPOLOGY = """
netfile_version: 1
input { name: data shape: [2, 6, 6] }
layer { type: Convolution name: conv }
layer { type: ReLU name: relu }
layer { type: FullyConnected name: fc }
layer { type: Softmax name: prob }
"""


class TheanoSuite(ImporterSuite):
    """A .npz, an array of objects as Lasagne's users save it, and an archive with such an array in it."""

    importer = TheanoImporter()

    def models(self, folder: Path) -> Sequence[Sequence[Path]]:
        """Write them."""
        topology = folder / "layers.netfile"
        topology.write_text(TOPOLOGY, encoding="utf-8")
        np.savez(folder / "plain.npz", *_weights())
        np.save(folder / "objects.npy", _objects(), allow_pickle=True)
        np.savez(folder / "inside.npz", params=_objects())
        return [[folder / name, topology] for name in ("plain.npz", "objects.npy", "inside.npz")]


def _weights() -> list[Array]:
    random = np.random.default_rng(0)
    shapes: list[tuple[int, ...]] = [(3, 2, 3, 3), (3,), (48, 5), (5,)]
    return [random.standard_normal(shape).astype(np.float32) for shape in shapes]


def _objects() -> Array:
    weights = _weights()
    objects = np.empty(len(weights), object)
    for number, weight in enumerate(weights):
        objects[number] = weight
    return objects
